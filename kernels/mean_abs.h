// The mean of absolute values: what makes a code sparse, as a term of the loss.
#pragma once

#include <cstdint>

#include "kernels/common/kernel.h"
#include "kernels/common/losses.h"

namespace diabolo::kernels {

// Computes mean = 1/n sum |x|; x [n], mean [1].
template <class T>
struct MeanAbs {
  int64_t n = 0;
  const T* x = nullptr;
  Accum<T>* mean = nullptr;
};

// Computes dx = g/n sign(x), 0 where x is 0 and NaN where it is one; x and dx [n], g [1]. dx may be
// x.
template <class T>
struct MeanAbsGrad {
  int64_t n = 0;
  const T* x = nullptr;
  const Accum<T>* g = nullptr;
  T* dx = nullptr;
};

// 1/n.
template <class A>
A share_of(int64_t n) {
  return A(1) / A(static_cast<double>(n));
}

template <class T>
void mean_abs_reference(const MeanAbs<T>& p) {
  Accum<T> sum(0);
  for (int64_t k = 0; k < p.n; ++k) sum += abs_of(Accum<T>(widen(p.x[k])));
  *p.mean = sum * share_of<Accum<T>>(p.n);
}

template <class T>
void mean_abs_grad_reference(const MeanAbsGrad<T>& p) {
  const Accum<T> scale = *p.g * share_of<Accum<T>>(p.n);
  for (int64_t k = 0; k < p.n; ++k)
    p.dx[k] = narrow<T>(Accum<T>(L1Loss::of(Accum<T>(widen(p.x[k]))).d_z * scale));
}

DIABOLO_KERNELS(MeanAbs)
DIABOLO_KERNELS(MeanAbsGrad)
namespace cuda {
template <class T>
uint64_t scratch_bytes(const MeanAbs<T>& p, const Device&) {
  return flat_sum_bytes(p.n);
}
}  // namespace cuda

}  // namespace diabolo::kernels
