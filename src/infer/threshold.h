// The score above which a row counts as anomalous, as a training leaves it in its model.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/log.h"
#include "infer/inference.h"
#include "model/model_file.h"

namespace diabolo {

// How the scores for it are made: of `rows` rows at most.
InferenceOptions threshold_options(const TrainConfig& config, uint64_t rows);

// Puts the q-quantile of scores into the model: of validation scores the split-conformal one, of
// training scores the usual one (infer/score.h). A line in the log where it will not flag the share
// that was asked for: too few validation rows, ties, scores that are infinite. The threshold is
// finite in any case. Throws as quantile() does.
void put_threshold(ModelFile& model, std::span<const float> scores, ThresholdFrom from, double q,
                   const Log& log);

// A line in the log where a threshold from training scores would be far too low for fresh rows: a
// network with P parameters can take up P of the rows x features numbers that it is trained on, and
// its errors there are too small by up to that share, twice that against fresh rows. The limit is a
// tenth, 20 numbers per parameter.
void warn_of_training_threshold(const std::string& data, uint64_t rows, const Network& network,
                                const Log& log);

}  // namespace diabolo
