// A batch out of raw rows: pick, convert, scale.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/common/kernel.h"
#include "kernels/common/step_state.h"

namespace diabolo::kernels {

// Computes out[b,d] = (source[row(b), d] - shift[d]) * scale[d], or source[row(b), d] where shift
// is null.
// row(b) = order[state->batch_row + b], or b where `order` is null (rows that a slot already
// holds). source [N,D] of Source (uint8_t or float), order [N], shift and scale [D], out [B,D]. A
// row outside the source, or a place outside the order, gives NaN, which halts a training.
template <class Source, class T>
struct Gather {
  int64_t N = 0, B = 0, D = 0;
  const Source* source = nullptr;
  const uint32_t* order = nullptr;
  const StepState* state = nullptr;  // null: batch_row is 0
  const Accum<T>* shift = nullptr;   // both null: converted alone
  const Accum<T>* scale = nullptr;
  T* out = nullptr;
};

// The source row of batch row b, or -1.
template <class Source, class T>
DIABOLO_HD int64_t gather_row(const Gather<Source, T>& p, int64_t b) {
  if (p.order == nullptr) return b < p.N ? b : -1;
  const int64_t place = (p.state ? static_cast<int64_t>(p.state->batch_row) : 0) + b;
  if (place < 0 || place >= p.N) return -1;
  const int64_t row = p.order[place];
  return row < p.N ? row : -1;
}

template <class Source, class T>
void gather_reference(const Gather<Source, T>& p) {
  for (int64_t b = 0; b < p.B; ++b) {
    const int64_t row = gather_row(p, b);
    for (int64_t d = 0; d < p.D; ++d) {
      const Accum<T> value = row < 0 ? Accum<T>(std::numeric_limits<float>::quiet_NaN())
                                     : Accum<T>(p.source[row * p.D + d]);
      p.out[b * p.D + d] = narrow<T>(p.shift ? Accum<T>((value - p.shift[d]) * p.scale[d]) : value);
    }
  }
}

DIABOLO_KERNEL(Gather<uint8_t, float>)
DIABOLO_KERNEL(Gather<uint8_t, Bf16>)
DIABOLO_KERNEL(Gather<float, float>)
DIABOLO_KERNEL(Gather<float, Bf16>)

}  // namespace diabolo::kernels
