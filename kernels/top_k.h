// The k largest numbers of each row, in their places among zeros: sparse codes (Makhzani and Frey
// 2014, "k-Sparse Autoencoders", section 2.1).
//
// One order, everywhere: the larger first, of equal ones that of the lower column; 0 and -0 are
// equal; NaN comes before all numbers, so that it is kept and seen.
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/common/kernel.h"

namespace diabolo::kernels {

// Computes y = x for the k first of a row, else 0, and last, the column of the k-th; x and y [B,D],
// last [B]; 1 <= k <= D.
template <class T>
struct TopK {
  int64_t B = 0, D = 0;
  int64_t k = 1;
  const T* x = nullptr;
  T* y = nullptr;
  uint32_t* last = nullptr;
};

// Computes dx = dy for what was kept, else 0; x, dy and dx [B,D], last [B]. dx may be dy.
template <class T>
struct TopKGrad {
  int64_t B = 0, D = 0;
  const T* x = nullptr;
  const T* dy = nullptr;
  const uint32_t* last = nullptr;
  T* dx = nullptr;
};

// Of numbers whose keys are equal the lower column comes first; else the larger key.
DIABOLO_HD inline uint32_t key_of(float x) {
  if (x != x) return 0xffffffffu;
  const uint32_t bits = x == 0 ? 0 : std::bit_cast<uint32_t>(x);
  return (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
}

// Whether a in column i comes before b in column j.
template <class A>
bool comes_first(const A& a, int64_t i, const A& b, int64_t j) {
  const bool a_is_number = a <= a, b_is_number = b <= b;
  if (!a_is_number || !b_is_number) return a_is_number == b_is_number ? i < j : b_is_number;
  if (a > b) return true;
  return !(b > a) && i < j;
}

// The column of the k-th of a row.
template <class T>
int64_t kth_column(const T* x, int64_t D, int64_t k) {
  const auto at = [&](int64_t d) { return real_part(widen(x[d])); };
  int64_t last = -1;
  for (int64_t m = 0; m < k; ++m) {
    int64_t best = -1;
    for (int64_t d = 0; d < D; ++d) {
      const bool is_left = last < 0 || comes_first(at(last), last, at(d), d);
      if (is_left && (best < 0 || comes_first(at(d), d, at(best), best))) best = d;
    }
    last = best;
  }
  return last;
}

template <class T>
bool is_kept(const T* x, int64_t d, int64_t last) {
  return d == last || comes_first(real_part(widen(x[d])), d, real_part(widen(x[last])), last);
}

template <class T>
void top_k_reference(const TopK<T>& p) {
  for (int64_t b = 0; b < p.B; ++b) {
    const T* x = p.x + b * p.D;
    const int64_t last = kth_column(x, p.D, p.k);
    p.last[b] = static_cast<uint32_t>(last);
    for (int64_t d = 0; d < p.D; ++d)
      p.y[b * p.D + d] = is_kept(x, d, last) ? x[d] : narrow<T>(Accum<T>(0));
  }
}

template <class T>
void top_k_grad_reference(const TopKGrad<T>& p) {
  for (int64_t b = 0; b < p.B; ++b)
    for (int64_t d = 0; d < p.D; ++d)
      p.dx[b * p.D + d] = is_kept(p.x + b * p.D, d, static_cast<int64_t>(p.last[b]))
                              ? p.dy[b * p.D + d]
                              : narrow<T>(Accum<T>(0));
}

DIABOLO_KERNELS(TopK)
DIABOLO_KERNELS(TopKGrad)

}  // namespace diabolo::kernels
