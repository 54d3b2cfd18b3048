// What makes a training the one that a checkpoint belongs to.
#pragma once

#include <string>

#include "base/dtype.h"
#include "model/config.h"

namespace diabolo {

// Of everything that decides its steps: a resolved configuration and the hash of its rows. Not of
// the number of threads, which decides no more than last bits: one configuration serves many
// machines.
std::string training_identity(const Config& resolved, const std::string& rows_hash);

// Whether `identity` is that of this training as this version writes it, or as earlier ones did,
// where the number of threads asked for counted, whatever it was.
bool is_identity_of(const std::string& identity, const Config& resolved,
                    const std::string& rows_hash);

// The keys that tell `now` from `before`, both resolved, as parts of a sentence: "train.seed = 1,
// now 2"; empty where none does.
std::string changes_of_training(const Config& before, const Config& now);

// The same of the files that rows come from: other names need not be other rows.
std::string renamed_files(const Config& before, const Config& now);

// Throws Error{kModel} for the checkpoint of another training than this one of rows of dtype.
// renamed: renamed_files, or nothing. What early builds made otherwise of the same rows is named
// where these are such rows.
[[noreturn]] void fail_of_another_training(const std::string& path, const Config& resolved,
                                           DType dtype, const std::string& renamed);

}  // namespace diabolo
