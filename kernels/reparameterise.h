// Draws from a code's Gaussians, through which gradients flow (Kingma and Welling 2014, 2.4). The
// normal draws are Philox numbers named by (seed, purpose, step, row, element), so the backward
// pass draws them again and nothing is stored.
#pragma once

#include <cstdint>

#include "kernels/common/kernel.h"
#include "kernels/common/philox.h"
#include "kernels/common/step_state.h"
#include "kernels/gaussian_kl.h"

namespace diabolo::kernels {

// Computes z = mean + s e, s = exp(log_variance / 2) with log_variance clamped to [low, high], e a
// standard normal draw; all [B,D]. z may be mean or log_variance.
template <class T>
struct Reparameterise {
  int64_t B = 0, D = 0;
  float low = kLowLogVariance, high = kHighLogVariance;
  uint32_t purpose = 0;  // RandomPurpose::kReparameterise + layer
  const StepState* state = nullptr;
  const T* mean = nullptr;
  const T* log_variance = nullptr;
  T* z = nullptr;
};

// Computes d_log_variance = 1/2 dz s e, 0 outside [low, high]; all [B,D]. The gradient by the mean
// is dz. d_log_variance may be log_variance or dz.
template <class T>
struct ReparameteriseGrad {
  int64_t B = 0, D = 0;
  float low = kLowLogVariance, high = kHighLogVariance;
  uint32_t purpose = 0;
  const StepState* state = nullptr;
  const T* log_variance = nullptr;
  const T* dz = nullptr;
  T* d_log_variance = nullptr;
};

// The standard deviation, and its derivative by the log variance.
template <class A>
DIABOLO_HD inline A deviation_of(const A& log_variance, float low, float high) {
  return exp_of(A(A(0.5f) * clamped(log_variance, low, high)));
}
template <class A>
DIABOLO_HD inline A deviation_slope(const A& log_variance, float low, float high) {
  const A slope = A(0.5f) * deviation_of(log_variance, low, high);
  return is_clamped(log_variance, low, high) ? A(0) : slope;
}

template <class T>
void reparameterise_reference(const Reparameterise<T>& p) {
  using A = Accum<T>;
  const RandomKey key = random_key(*p.state, p.purpose);
  for (int64_t b = 0; b < p.B; ++b) {
    for (int64_t d = 0; d < p.D; ++d) {
      const int64_t k = b * p.D + d;
      const A draw(normal_at(key, static_cast<uint32_t>(b), static_cast<uint64_t>(d)));
      const A deviation = deviation_of<A>(widen(p.log_variance[k]), p.low, p.high);
      p.z[k] = narrow<T>(A(widen(p.mean[k]) + deviation * draw));
    }
  }
}

template <class T>
void reparameterise_grad_reference(const ReparameteriseGrad<T>& p) {
  using A = Accum<T>;
  const RandomKey key = random_key(*p.state, p.purpose);
  for (int64_t b = 0; b < p.B; ++b) {
    for (int64_t d = 0; d < p.D; ++d) {
      const int64_t k = b * p.D + d;
      const A draw(normal_at(key, static_cast<uint32_t>(b), static_cast<uint64_t>(d)));
      const A slope = deviation_slope<A>(widen(p.log_variance[k]), p.low, p.high);
      p.d_log_variance[k] = narrow<T>(A(widen(p.dz[k]) * draw * slope));
    }
  }
}

DIABOLO_KERNELS(Reparameterise)
DIABOLO_KERNELS(ReparameteriseGrad)

}  // namespace diabolo::kernels
