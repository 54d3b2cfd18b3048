// Elementwise mathematics on short runs of floats, chosen once (activation, loss, instruction set)
// and called per block: every loop of this folder over an activation is one of these. Also the
// conversion of blocks from and to the storage type, and sums in a fixed order.
#pragma once

#include <cstdint>

#include "kernels/common/losses.h"
#include "kernels/common/scalar.h"
#include "kernels/cpu/isa.h"

// The next loop carries nothing from one round to the next, though pointers may be equal.
#if defined(__clang__)
#define DIABOLO_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define DIABOLO_IVDEP _Pragma("GCC ivdep")
#endif

namespace diabolo::kernels::cpu {

// Elements per block where values pass through buffers on the stack: they stay in the L1 cache.
inline constexpr int64_t kBlock = 512;
// Elements per chunk of work for one thread. A multiple of kBlock.
inline constexpr int64_t kChunk = 8192;

// y[k] = f(z[k]); y may be z.
using ForwardBlock = void (*)(const float* z, float* y, int64_t n);
// d[k] *= f'(saved[k]).
using SlopeBlock = void (*)(const float* saved, float* d, int64_t n);
// The loss of each element and its derivative by z, unscaled. d_z may be z.
using LossBlock = void (*)(const float* z, const float* target, float* value, float* d_z,
                           int64_t n);

ForwardBlock forward_block(Isa isa, Activation activation);
SlopeBlock slope_block(Isa isa, Activation activation);
LossBlock loss_block(Isa isa, Activation activation, Loss loss);

inline void widen_block(const Bf16* from, float* to, int64_t n) {
  DIABOLO_IVDEP
  for (int64_t k = 0; k < n; ++k) to[k] = to_float(from[k]);
}
inline void narrow_block(const float* from, Bf16* to, int64_t n) {
  DIABOLO_IVDEP
  for (int64_t k = 0; k < n; ++k) to[k] = to_bf16(from[k]);
}
inline void widen_block(const float* from, float* to, int64_t n) {
  DIABOLO_IVDEP
  for (int64_t k = 0; k < n; ++k) to[k] = from[k];
}
inline void narrow_block(const float* from, float* to, int64_t n) {
  widen_block(from, to, n);
}

// A sum over lanes: element k goes to lane k % 64, lanes are folded in halves. The order is the
// same on every instruction set, and errors grow with n / 64 instead of n.
class LaneSum {
 public:
  void add(const float* values, int64_t n) {
    int64_t k = 0;
    for (; k + kLanes <= n; k += kLanes) {
      for (int64_t j = 0; j < kLanes; ++j) lane_[j] += values[k + j];
    }
    for (int64_t j = 0; k + j < n; ++j) lane_[j] += values[k + j];
  }
  void add_squares(const float* values, int64_t n) {
    int64_t k = 0;
    for (; k + kLanes <= n; k += kLanes) {
      for (int64_t j = 0; j < kLanes; ++j) lane_[j] += values[k + j] * values[k + j];
    }
    for (int64_t j = 0; k + j < n; ++j) lane_[j] += values[k + j] * values[k + j];
  }
  float total() const {
    float fold[kLanes];
    for (int64_t j = 0; j < kLanes; ++j) fold[j] = lane_[j];
    for (int64_t half = kLanes / 2; half > 0; half /= 2) {
      for (int64_t j = 0; j < half; ++j) fold[j] += fold[j + half];
    }
    return fold[0];
  }

 private:
  static constexpr int64_t kLanes = 64;
  alignas(64) float lane_[kLanes] = {};
};

// The partial sums of chunks, added in order. In double: their number grows with the batch.
inline double ordered_total(const float* partials, int64_t count) {
  double sum = 0;
  for (int64_t k = 0; k < count; ++k) sum += static_cast<double>(partials[k]);
  return sum;
}

}  // namespace diabolo::kernels::cpu
