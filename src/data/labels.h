// Labels of rows: one number each, 0 for an ordinary row, any other for an anomalous one.
#pragma once

#include <cstdint>
#include <vector>

#include "base/log.h"
#include "data/dataset.h"
#include "data/file_stamp.h"

namespace diabolo {

// 1 where the row of `data` is anomalous. Throws Error{kData} for a file that has not one number
// for each row, or a number that is not finite.
std::vector<uint8_t> read_labels(const Dataset& labels, const Dataset& data);

// The stamp of the labels that a training was given, once they are checked; path may be empty. They
// serve nothing but a later evaluate: a training that is resumed goes on without them, with
// a warning, where they are gone or do not fit. Else that is an Error{kData}.
FileStamp labels_of_training(const std::string& path, const Dataset& data, bool is_resumed,
                             const Log& log);

}  // namespace diabolo
