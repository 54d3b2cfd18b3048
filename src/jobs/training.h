// A training as the command and the library run it: data to validate on as the configuration says,
// what a resumption must have in common with its beginning, and the run directory's config.toml.
#pragma once

#include <memory>

#include "data/dataset.h"
#include "train/trainer.h"

namespace diabolo {

// What cannot be kept in config.toml and in the model: a file's name that is not UTF-8. Throws
// Error{kUsage}.
void require_utf8(const Config& config);

// The file that the configuration validates on beside `data`, which is read in the same way as far
// as that fits it; null where it names none.
std::unique_ptr<Dataset> open_validation(const Config& config, const Dataset& data);

// Trains; with a directory, config.toml comes to be in it. Where a training is resumed beside its
// earlier configuration, the two are compared first: Error{kModel} says what changed. Else as
// train().
TrainResult run_training(Backend& backend, const Config& config, const Dataset& data,
                         const Dataset* validation, TrainOptions options, TrainCallbacks callbacks);

}  // namespace diabolo
