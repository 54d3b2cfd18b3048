// Dropout and corruption. Draws are Philox numbers named by (seed, purpose, step, row, element), so
// the backward pass of dropout draws the same mask again and nothing is stored.
#pragma once

#include <cstdint>

#include "kernels/common/kernel.h"
#include "kernels/common/philox.h"
#include "kernels/common/step_state.h"

namespace diabolo::kernels {

// Computes y = x * keep / (1 - rate), keep = [uniform >= rate]; x and y [B,D], y may be x. Its own
// gradient: the same call on the gradient.
template <class T>
struct Dropout {
  int64_t B = 0, D = 0;
  float rate = 0;        // in [0, 1)
  uint32_t purpose = 0;  // RandomPurpose::kDropout + layer
  const StepState* state = nullptr;
  const T* x = nullptr;
  T* y = nullptr;
};

enum class Corruption : int32_t { kGaussian, kMasking };

// kGaussian: y = clamp(x + amount * normal, low, high). kMasking: y = 0 where uniform < amount,
// else x. x and y [B,D]. Fresh every step; not differentiated.
template <class T>
struct Corrupt {
  int64_t B = 0, D = 0;
  Corruption kind = Corruption::kGaussian;
  float amount = 0;  // standard deviation, or share of elements masked
  float low = -3.4e38f, high = 3.4e38f;
  uint32_t purpose = RandomPurpose::kCorruption;
  const StepState* state = nullptr;
  const T* x = nullptr;
  T* y = nullptr;
};

template <class T>
void dropout_reference(const Dropout<T>& p) {
  const RandomKey key = random_key(*p.state, p.purpose);
  const Accum<T> scale = Accum<T>(1) / (Accum<T>(1) - Accum<T>(p.rate));
  for (int64_t b = 0; b < p.B; ++b) {
    for (int64_t d = 0; d < p.D; ++d) {
      const bool is_kept = uniform_at(key, static_cast<uint32_t>(b), d) >= p.rate;
      const Accum<T> x = widen(p.x[b * p.D + d]);
      p.y[b * p.D + d] = narrow<T>(is_kept ? Accum<T>(x * scale) : Accum<T>(0));
    }
  }
}

template <class T>
void corrupt_reference(const Corrupt<T>& p) {
  const RandomKey key = random_key(*p.state, p.purpose);
  for (int64_t b = 0; b < p.B; ++b) {
    for (int64_t d = 0; d < p.D; ++d) {
      Accum<T> value = widen(p.x[b * p.D + d]);
      const auto row = static_cast<uint32_t>(b);
      if (p.kind == Corruption::kMasking) {
        if (uniform_at(key, row, d) < p.amount) value = Accum<T>(0);
      } else {
        value += Accum<T>(p.amount) * Accum<T>(normal_at(key, row, d));
        if (value < Accum<T>(p.low)) value = Accum<T>(p.low);
        if (value > Accum<T>(p.high)) value = Accum<T>(p.high);
      }
      p.y[b * p.D + d] = narrow<T>(value);
    }
  }
}

DIABOLO_KERNELS(Dropout)
DIABOLO_KERNELS(Corrupt)

}  // namespace diabolo::kernels
