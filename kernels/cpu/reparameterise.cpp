// Draws from Gaussians and the gradient by their log variances.
#include "kernels/reparameterise.h"

#include "kernels/cpu/define.h"
#include "kernels/cpu/draws.h"

namespace diabolo::kernels::cpu {
namespace {

template <class T>
void draw_gaussians(const Reparameterise<T>& p, const RandomKey& key, int64_t b, int64_t d,
                    int64_t n) {
  float normal[kBlock];
  normal_block(key, static_cast<uint32_t>(b), d, n, normal);
  const float low = p.low, high = p.high;
  const int64_t at = b * p.D + d;
  const T *mean = p.mean + at, *log_variance = p.log_variance + at;
  T* z = p.z + at;
  DIABOLO_IVDEP
  for (int64_t k = 0; k < n; ++k) {
    const float deviation = deviation_of<float>(widen(log_variance[k]), low, high);
    z[k] = narrow<T>(widen(mean[k]) + deviation * normal[k]);
  }
}

template <class T>
void differentiate(const ReparameteriseGrad<T>& p, const RandomKey& key, int64_t b, int64_t d,
                   int64_t n) {
  float normal[kBlock];
  normal_block(key, static_cast<uint32_t>(b), d, n, normal);
  const float low = p.low, high = p.high;
  const int64_t at = b * p.D + d;
  const T *log_variance = p.log_variance + at, *dz = p.dz + at;
  T* out = p.d_log_variance + at;
  DIABOLO_IVDEP
  for (int64_t k = 0; k < n; ++k) {
    const float slope = deviation_slope<float>(widen(log_variance[k]), low, high);
    out[k] = narrow<T>(widen(dz[k]) * normal[k] * slope);
  }
}

template <class T>
Launch make(const Reparameterise<T>& p, const CpuFeatures& cpu, void*) {
  return [p, team = Team(cpu, p.B * p.D, pass_cost::kDraw)](void*) {
    const RandomKey key = random_key(*p.state, p.purpose);
    for_row_blocks(team, p.B, p.D,
                   [&](int64_t b, int64_t d, int64_t n) { draw_gaussians(p, key, b, d, n); });
  };
}

template <class T>
Launch make(const ReparameteriseGrad<T>& p, const CpuFeatures& cpu, void*) {
  return [p, team = Team(cpu, p.B * p.D, pass_cost::kDraw)](void*) {
    const RandomKey key = random_key(*p.state, p.purpose);
    for_row_blocks(team, p.B, p.D,
                   [&](int64_t b, int64_t d, int64_t n) { differentiate(p, key, b, d, n); });
  };
}

}  // namespace

DIABOLO_CPU_DEFINE(Reparameterise<float>)
DIABOLO_CPU_DEFINE(Reparameterise<Bf16>)
DIABOLO_CPU_DEFINE(ReparameteriseGrad<float>)
DIABOLO_CPU_DEFINE(ReparameteriseGrad<Bf16>)

}  // namespace diabolo::kernels::cpu
