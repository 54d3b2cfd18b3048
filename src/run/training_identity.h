// What makes a training the one that a checkpoint belongs to.
#pragma once

#include <string>

#include "model/config.h"

namespace diabolo {

// Of everything that decides its steps: a resolved configuration and the hash of its rows.
std::string training_identity(const Config& resolved, const std::string& rows_hash);

// The keys that tell `now` from `before`, both resolved, as parts of a sentence: "train.seed = 1, now
// 2"; empty where none does.
std::string changes_of_training(const Config& before, const Config& now);

}  // namespace diabolo
