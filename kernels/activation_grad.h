// The derivative of an activation as a pass of its own, where no product's epilogue can take it.
#pragma once

#include <cstdint>

#include "kernels/common/activations.h"
#include "kernels/common/kernel.h"

namespace diabolo::kernels {

// Computes dz = dy * f'(saved), all [n]; saved is h or z (see kSavesZ). dz may be dy itself.
template <class T>
struct ActivationGrad {
  int64_t n = 0;
  Activation activation = Activation::kIdentity;
  const T* dy = nullptr;
  const T* saved = nullptr;
  T* dz = nullptr;
};

template <class T>
void activation_grad_reference(const ActivationGrad<T>& p) {
  with_activation(p.activation, [&](auto act) {
    for (int64_t k = 0; k < p.n; ++k) {
      const Accum<T> slope = act.derivative(Accum<T>(widen(p.saved[k])));
      p.dz[k] = narrow<T>(Accum<T>(widen(p.dy[k]) * slope));
    }
  });
}

DIABOLO_KERNELS(ActivationGrad)

}  // namespace diabolo::kernels
