// A loss alone: for a last layer that is not dense, and as the pass behind a library's product.
//
// Shapes: z and target and dz [n] (any shape, flattened), loss [1].
#pragma once

#include <cstdint>

#include "kernels/common/kernel.h"
#include "kernels/common/losses.h"

namespace diabolo::kernels {

// Computes loss = scale / n * sum l(f(z), target) and dz, its gradient by z. dz may be z itself.
template <class T>
struct LossOf {
  int64_t n = 0;
  Activation activation = Activation::kIdentity;
  Loss kind = Loss::kMse;
  float scale = 1;
  const T* z = nullptr;
  const T* target = nullptr;
  T* dz = nullptr;  // null: the loss alone
  Accum<T>* loss = nullptr;
};

template <class T>
void loss_reference(const LossOf<T>& p) {
  const Accum<T> scale = Accum<T>(p.scale) / Accum<T>(static_cast<double>(p.n));
  Accum<T> sum(0);
  with_loss(p.activation, p.kind, [&](auto element) {
    for (int64_t k = 0; k < p.n; ++k) {
      const auto at = element.of(Accum<T>(widen(p.z[k])), Accum<T>(widen(p.target[k])));
      sum += at.value;
      if (p.dz) p.dz[k] = narrow<T>(Accum<T>(at.d_z * scale));
    }
  });
  *p.loss = sum * scale;
}

DIABOLO_KERNELS(LossOf)
namespace cuda {
template <class T>
uint64_t scratch_bytes(const LossOf<T>& p, const Device&) {
  return flat_sum_bytes(p.n);
}
}  // namespace cuda

}  // namespace diabolo::kernels
