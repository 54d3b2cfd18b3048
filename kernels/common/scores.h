// What every score kernel does with a number that is none, and in which order features are worse:
// one rule for the references, the CPU and CUDA.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/common/hd.h"
#include "kernels/common/scalar.h"

namespace diabolo::kernels {

// An error or a score as it leaves a kernel: what is NaN becomes +inf, so that a row or feature
// whose error cannot be computed is the worst there is and above every threshold.
template <class T>
DIABOLO_HD inline T infinite_if_nan(const T& error) {
  const T infinity(INFINITY);
  return real_part(error) < real_part(infinity) ? error : infinity;
}

// True if a feature is worse than another: a larger error, among equals the lower index. A total
// order of errors that have passed infinite_if_nan.
template <class T>
DIABOLO_HD inline bool is_worse(const T& error, int64_t index, const T& other_error,
                                int64_t other_index) {
  if (real_part(error) > real_part(other_error)) return true;
  if (real_part(other_error) > real_part(error)) return false;
  return index < other_index;
}

}  // namespace diabolo::kernels
