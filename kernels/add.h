// The sum of two tensors: where a value has two gradients, or two branches meet.
#pragma once

#include <cstdint>

#include "kernels/common/kernel.h"

namespace diabolo::kernels {

// Computes y = a + b, all [n]; y may be a.
template <class T>
struct Add {
  int64_t n = 0;
  const T* a = nullptr;
  const T* b = nullptr;
  T* y = nullptr;
};

template <class T>
void add_reference(const Add<T>& p) {
  for (int64_t k = 0; k < p.n; ++k) p.y[k] = narrow<T>(Accum<T>(widen(p.a[k]) + widen(p.b[k])));
}

DIABOLO_KERNELS(Add)

}  // namespace diabolo::kernels
