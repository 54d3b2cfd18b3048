// Sums that a kernel leaves to be added up by whoever reads them.
#pragma once

#include <cstdint>

namespace diabolo::kernels {

// sum[k] = parts[0, k] + parts[1, k] + ..., in that order; parts is [count, elems], sum [elems],
// which is not written.
struct Parts {
  const float* sum = nullptr;
  const float* parts = nullptr;
  int64_t elems = 0;
  int64_t count = 0;
};

}  // namespace diabolo::kernels
