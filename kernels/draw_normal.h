// Draws from the standard normal distribution, stretched: codes out of nothing. They are Philox
// numbers named by (seed, purpose, step, row, element), so a row's depend on no other row.
#pragma once

#include <cstdint>

#include "kernels/common/kernel.h"
#include "kernels/common/philox.h"
#include "kernels/common/step_state.h"

namespace diabolo::kernels {

// Computes z = scale e, e a standard normal draw; z [B,D], scale [1].
template <class T>
struct DrawNormal {
  int64_t B = 0, D = 0;
  const T* scale = nullptr;
  const StepState* state = nullptr;
  T* z = nullptr;
};

template <class T>
void draw_normal_reference(const DrawNormal<T>& p) {
  const RandomKey key = random_key(*p.state, RandomPurpose::kDraw);
  for (int64_t b = 0; b < p.B; ++b)
    for (int64_t d = 0; d < p.D; ++d)
      p.z[b * p.D + d] =
          *p.scale * T(normal_at(key, static_cast<uint32_t>(b), static_cast<uint64_t>(d)));
}

DIABOLO_KERNEL(DrawNormal<float>)

}  // namespace diabolo::kernels
