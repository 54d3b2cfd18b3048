// Labels of rows: one number each, 0 for an ordinary row, any other for an anomalous one.
#pragma once

#include <cstdint>
#include <vector>

#include "data/dataset.h"

namespace diabolo {

// 1 where the row of `data` is anomalous. Throws Error{kData} for a file that has not one number for
// each row, or a number that is not finite.
std::vector<uint8_t> read_labels(const Dataset& labels, const Dataset& data);

}  // namespace diabolo
