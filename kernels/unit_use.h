// Which units of sparse codes are used: for each how many rows ago it was last other than 0. What
// is counted over one batch alone says little of units that are rare.
#pragma once

#include <cstdint>

#include "kernels/common/kernel.h"

namespace diabolo::kernels {

// Rows are counted in f32, exactly up to here, and no further.
inline constexpr float kMostIdle = 16777216;

// Computes next = 0 for units that some row uses, else the least of idle + B and kMostIdle;
// active = the numbers other than 0, NaN among them, a row in the mean; dead = the share of units
// whose next is at least limit. code [B,D]; idle and next [D]; active and dead [1].
template <class T>
struct UnitUse {
  int64_t B = 0, D = 0;
  float limit = 1;
  const T* code = nullptr;
  const Accum<T>* idle = nullptr;
  Accum<T>* next = nullptr;
  Accum<T>* active = nullptr;
  Accum<T>* dead = nullptr;
};

template <class A>
DIABOLO_HD bool is_used(const A& value) {
  return !(value >= A(0) && value <= A(0));
}

template <class A>
DIABOLO_HD A next_idle(const A& idle, int64_t rows) {
  const A next = idle + A(static_cast<float>(rows));
  return next > A(kMostIdle) ? A(kMostIdle) : next;
}

template <class T>
void unit_use_reference(const UnitUse<T>& p) {
  using A = Accum<T>;
  double used = 0, dead = 0;
  for (int64_t d = 0; d < p.D; ++d) {
    int64_t count = 0;
    for (int64_t b = 0; b < p.B; ++b) count += is_used(A(widen(p.code[b * p.D + d]))) ? 1 : 0;
    p.next[d] = count > 0 ? A(0) : next_idle(p.idle[d], p.B);
    used += static_cast<double>(count);
    dead += p.next[d] >= A(p.limit) ? 1 : 0;
  }
  *p.active = A(used) * (A(1) / A(static_cast<double>(p.B)));
  *p.dead = A(dead) * (A(1) / A(static_cast<double>(p.D)));
}

DIABOLO_KERNELS(UnitUse)
namespace cuda {
// Columns of a block. Scratch: used numbers and dead units of every block.
inline constexpr int64_t kUnitUseColumns = 32;
inline int64_t unit_use_blocks(int64_t D) {
  return (D + kUnitUseColumns - 1) / kUnitUseColumns;
}
template <class T>
uint64_t scratch_bytes(const UnitUse<T>& p, const Device&) {
  return aligned_bytes(8 * static_cast<uint64_t>(unit_use_blocks(p.D)));
}
}  // namespace cuda

}  // namespace diabolo::kernels
