// An activation as a pass of its own, where no product's epilogue takes it: behind a normalisation,
// or of a value that something else reads too.
#pragma once

#include <cstdint>

#include "kernels/common/activations.h"
#include "kernels/common/kernel.h"

namespace diabolo::kernels {

// Computes y = f(z), both [n]. y may be z itself.
template <class T>
struct Activate {
  int64_t n = 0;
  Activation activation = Activation::kIdentity;
  const T* z = nullptr;
  T* y = nullptr;
};

template <class T>
void activate_reference(const Activate<T>& p) {
  with_activation(p.activation, [&](auto act) {
    for (int64_t k = 0; k < p.n; ++k)
      p.y[k] = narrow<T>(Accum<T>(act.forward(Accum<T>(widen(p.z[k])))));
  });
}

DIABOLO_KERNELS(Activate)

}  // namespace diabolo::kernels
