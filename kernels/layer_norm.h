// Layer normalisation: every row to mean 0 and variance 1, then a gain and a bias per feature (Ba,
// Kiros and Hinton 2016).
//
// Shapes: x, y, dy and dx [B,D], D the last axis and B all before it; gain, bias, d_gain, d_bias
// [D]. The gradient makes the moments of a row again: it reads the row anyway.
#pragma once

#include <cstdint>

#include "kernels/common/kernel.h"
#include "kernels/common/math.h"

namespace diabolo::kernels {

// Computes y = gain n + bias with n = (x - mean) / sqrt(variance + epsilon), mean = 1/D sum x,
// variance = 1/D sum (x - mean)^2. y may be x.
template <class T>
struct LayerNorm {
  int64_t B = 0, D = 0;
  float epsilon = 1e-5f;
  const T* x = nullptr;
  const Accum<T>* gain = nullptr;
  const Accum<T>* bias = nullptr;
  T* y = nullptr;
};

// Computes, with g = dy gain: d_gain = sum_b dy n, d_bias = sum_b dy (each added to what is there
// if its flag says so), dx = (g - 1/D sum g - n 1/D sum g n) / sqrt(variance + epsilon).
template <class T>
struct LayerNormGrad {
  int64_t B = 0, D = 0;
  float epsilon = 1e-5f;
  bool accumulates_gain = false;
  bool accumulates_bias = false;
  const T* x = nullptr;
  const Accum<T>* gain = nullptr;
  const T* dy = nullptr;
  Accum<T>* d_gain = nullptr;
  Accum<T>* d_bias = nullptr;
  T* dx = nullptr;  // null: not wanted
};

template <class A>
struct RowMoments {
  A mean, inverse;  // inverse = 1 / sqrt(variance + epsilon)
};

template <class T>
RowMoments<Accum<T>> row_moments(const T* x, int64_t D, float epsilon) {
  using A = Accum<T>;
  const A n(static_cast<double>(D));
  A sum(0), squares(0);
  for (int64_t d = 0; d < D; ++d) sum += widen(x[d]);
  const A mean = sum / n;
  for (int64_t d = 0; d < D; ++d) {
    const A e = widen(x[d]) - mean;
    squares += e * e;
  }
  return {mean, A(A(1) / sqrt_of(A(squares / n + A(epsilon))))};
}

template <class T>
void layer_norm_reference(const LayerNorm<T>& p) {
  for (int64_t b = 0; b < p.B; ++b) {
    const T* x = p.x + b * p.D;
    const auto row = row_moments(x, p.D, p.epsilon);
    for (int64_t d = 0; d < p.D; ++d) {
      const Accum<T> n = (widen(x[d]) - row.mean) * row.inverse;
      p.y[b * p.D + d] = narrow<T>(Accum<T>(n * p.gain[d] + p.bias[d]));
    }
  }
}

template <class T>
void layer_norm_grad_reference(const LayerNormGrad<T>& p) {
  using A = Accum<T>;
  for (int64_t d = 0; d < p.D; ++d) {
    A of_gain(0), of_bias(0);
    for (int64_t b = 0; b < p.B; ++b) {
      const auto row = row_moments(p.x + b * p.D, p.D, p.epsilon);
      const A dy = widen(p.dy[b * p.D + d]);
      of_gain += dy * A((widen(p.x[b * p.D + d]) - row.mean) * row.inverse);
      of_bias += dy;
    }
    p.d_gain[d] = p.accumulates_gain ? A(p.d_gain[d] + of_gain) : of_gain;
    p.d_bias[d] = p.accumulates_bias ? A(p.d_bias[d] + of_bias) : of_bias;
  }
  if (!p.dx) return;
  const A size(static_cast<double>(p.D));
  for (int64_t b = 0; b < p.B; ++b) {
    const T *x = p.x + b * p.D, *dy = p.dy + b * p.D;
    const auto row = row_moments(x, p.D, p.epsilon);
    const auto n = [&](int64_t d) { return A((widen(x[d]) - row.mean) * row.inverse); };
    const auto g = [&](int64_t d) { return A(widen(dy[d]) * p.gain[d]); };
    A sum_g(0), sum_gn(0);
    for (int64_t d = 0; d < p.D; ++d) {
      sum_g += g(d);
      sum_gn += g(d) * n(d);
    }
    const A mean_g = sum_g / size, mean_gn = sum_gn / size;
    for (int64_t d = 0; d < p.D; ++d)
      p.dx[b * p.D + d] = narrow<T>(A((g(d) - mean_g - n(d) * mean_gn) * row.inverse));
  }
}

DIABOLO_KERNELS(LayerNorm)
DIABOLO_KERNELS(LayerNormGrad)
namespace cuda {
// d_gain and d_bias are summed over parts of so many rows, then the parts in order. Scratch: mean
// and inverse of every row, then the parts.
inline constexpr int64_t kLayerNormPartRows = 64;
inline int64_t layer_norm_parts(int64_t B) {
  return (B + kLayerNormPartRows - 1) / kLayerNormPartRows;
}
inline uint64_t layer_norm_moment_bytes(int64_t B) {
  return aligned_bytes(8 * static_cast<uint64_t>(B));
}
template <class T>
uint64_t scratch_bytes(const LayerNormGrad<T>& p, const Device&) {
  return layer_norm_moment_bytes(p.B) +
         aligned_bytes(8 * static_cast<uint64_t>(layer_norm_parts(p.B) * p.D));
}
}  // namespace cuda

}  // namespace diabolo::kernels
