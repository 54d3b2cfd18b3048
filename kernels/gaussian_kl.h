// The Kullback-Leibler divergence of a code's Gaussians from the standard normal, as a term of the
// loss (Kingma and Welling 2014, appendix B).
//
// A Gaussian is given by its mean and the logarithm of its variance, which is clamped to
// [low, high] first, here and in kernels/reparameterise.h: exp overflows above 88.7, and one such
// element would void the step and end the training.
#pragma once

#include <cstdint>

#include "kernels/common/kernel.h"
#include "kernels/common/math.h"

namespace diabolo::kernels {

// The range of log variances: standard deviations from 4.5e-5 to 2.2e4. Below, 1 + variance is 1 in
// float; above, draws say nothing of the mean. Exact in bf16.
inline constexpr float kLowLogVariance = -20, kHighLogVariance = 20;

// Computes kl = scale sum 1/2 (mean^2 + v - 1 - log v), v the variance; mean and log_variance [n],
// kl [1].
template <class T>
struct GaussianKl {
  int64_t n = 0;
  float scale = 1;
  float low = kLowLogVariance, high = kHighLogVariance;
  const T* mean = nullptr;
  const T* log_variance = nullptr;
  Accum<T>* kl = nullptr;
};

// Computes d_mean = g scale mean, d_log_variance = g scale 1/2 (v - 1), 0 outside [low, high]; all
// [n], g [1]. d_mean may be mean, d_log_variance log_variance.
template <class T>
struct GaussianKlGrad {
  int64_t n = 0;
  float scale = 1;
  float low = kLowLogVariance, high = kHighLogVariance;
  const T* mean = nullptr;
  const T* log_variance = nullptr;
  const Accum<T>* g = nullptr;
  T* d_mean = nullptr;
  T* d_log_variance = nullptr;
};

// x in [low, high]; a NaN stays one.
template <class A>
DIABOLO_HD inline A clamped(const A& x, float low, float high) {
  const A not_below = real_part(x) < real_part(A(low)) ? A(low) : x;
  return real_part(not_below) > real_part(A(high)) ? A(high) : not_below;
}
template <class A>
DIABOLO_HD inline bool is_clamped(const A& x, float low, float high) {
  return real_part(x) < real_part(A(low)) || real_part(x) > real_part(A(high));
}

// One element: its divergence, and its derivative by the log variance.
template <class A>
DIABOLO_HD inline A gaussian_kl_of(const A& mean, const A& log_variance, float low, float high) {
  const A log_v = clamped(log_variance, low, high);
  return A(0.5f) * (mean * mean + (exp_of(log_v) - A(1) - log_v));
}
template <class A>
DIABOLO_HD inline A gaussian_kl_slope(const A& log_variance, float low, float high) {
  const A slope = A(0.5f) * (exp_of(clamped(log_variance, low, high)) - A(1));
  return is_clamped(log_variance, low, high) ? A(0) : slope;
}

template <class T>
void gaussian_kl_reference(const GaussianKl<T>& p) {
  using A = Accum<T>;
  A sum(0);
  for (int64_t k = 0; k < p.n; ++k)
    sum += gaussian_kl_of<A>(widen(p.mean[k]), widen(p.log_variance[k]), p.low, p.high);
  *p.kl = sum * A(p.scale);
}

template <class T>
void gaussian_kl_grad_reference(const GaussianKlGrad<T>& p) {
  using A = Accum<T>;
  const A scale = *p.g * A(p.scale);
  for (int64_t k = 0; k < p.n; ++k) {
    p.d_mean[k] = narrow<T>(A(scale * widen(p.mean[k])));
    p.d_log_variance[k] =
        narrow<T>(A(scale * gaussian_kl_slope<A>(widen(p.log_variance[k]), p.low, p.high)));
  }
}

DIABOLO_KERNELS(GaussianKl)
DIABOLO_KERNELS(GaussianKlGrad)
namespace cuda {
template <class T>
uint64_t scratch_bytes(const GaussianKl<T>& p, const Device&) {
  return flat_sum_bytes(p.n);
}
}  // namespace cuda

}  // namespace diabolo::kernels
