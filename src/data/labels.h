// Labels of rows: one number each, as it stands in their file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/log.h"
#include "data/dataset.h"
#include "data/file_stamp.h"

namespace diabolo {

struct Labels {
  DType dtype = DType::kU8;
  std::vector<std::byte> values;  // one a row
};

// Those of `data`. Throws Error{kData} for a file that has not one number for each row, or a number
// that is not finite.
Labels read_labels(const Dataset& labels, const Dataset& data);
// The same of rows that are read already, from number first_row on of the source of that name.
void require_finite(const Labels& labels, const std::string& name, uint64_t first_row);

// 1 where the row is anomalous: its label is another number than 0.
std::vector<uint8_t> anomalies(const Labels& labels);

// That the labels which rows bring along, if they do, are numbers that are finite. A stream's are
// not looked at.
void require_labels(const Dataset& data);

// The stamp of the labels that a training was given, once they are checked, those that its rows
// bring along too; path may be empty. They serve nothing but a later evaluate: a training that is
// resumed goes on without them, with a warning, where they are gone or do not fit. Else that is an
// Error{kData}.
FileStamp labels_of_training(const std::string& path, const Dataset& data, bool is_resumed,
                             const Log& log);

}  // namespace diabolo
