// The divergence of Gaussians from the standard normal, in fixed chunks that are then added in
// order; and its gradient.
#include "kernels/gaussian_kl.h"

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/define.h"
#include "kernels/cpu/passes.h"

namespace diabolo::kernels::cpu {
namespace {

template <class T>
float kl_sum(const GaussianKl<T>& p, Range range) {
  LaneSum sum;
  float block[kBlock];
  for (int64_t at = range.begin; at < range.end; at += kBlock) {
    const int64_t n = std::min(kBlock, range.end - at);
    DIABOLO_IVDEP
    for (int64_t k = 0; k < n; ++k) {
      block[k] = gaussian_kl_of<float>(widen(p.mean[at + k]), widen(p.log_variance[at + k]), p.low,
                                       p.high);
    }
    sum.add(block, n);
  }
  return sum.total();
}

template <class T>
uint64_t scratch_of(const GaussianKl<T>& p) {
  return static_cast<uint64_t>(chunk_count(p.n, kChunk)) * sizeof(float);
}

template <class T>
Launch make(const GaussianKl<T>& p, const CpuFeatures& cpu, void* scratch) {
  return
      [p, team = Team(cpu, p.n, pass_cost::kLoss), partials = static_cast<float*>(scratch)](void*) {
        const int64_t count = chunk_count(p.n, kChunk);
        parallel_for(team.threads, count, [&](int64_t chunk) {
          on_isa(team.isa, [&] { partials[chunk] = kl_sum(p, chunk_range(chunk, kChunk, p.n)); });
        });
        *p.kl = static_cast<float>(ordered_total(partials, count) * static_cast<double>(p.scale));
      };
}

template <class T>
void differentiate(const GaussianKlGrad<T>& p, float scale, Range range) {
  const float low = p.low, high = p.high;
  DIABOLO_IVDEP
  for (int64_t k = range.begin; k < range.end; ++k) {
    const float mean = widen(p.mean[k]);
    const float slope = gaussian_kl_slope<float>(widen(p.log_variance[k]), low, high);
    p.d_mean[k] = narrow<T>(scale * mean);
    p.d_log_variance[k] = narrow<T>(scale * slope);
  }
}

template <class T>
Launch make(const GaussianKlGrad<T>& p, const CpuFeatures& cpu, void*) {
  return [p, team = Team(cpu, p.n, pass_cost::kLoss)](void*) {
    const float scale = *p.g * p.scale;
    parallel_for(team.threads, chunk_count(p.n, kChunk), [&](int64_t chunk) {
      on_isa(team.isa, [&] { differentiate(p, scale, chunk_range(chunk, kChunk, p.n)); });
    });
  };
}

}  // namespace

DIABOLO_CPU_DEFINE(GaussianKl<float>)
DIABOLO_CPU_DEFINE(GaussianKl<Bf16>)
DIABOLO_CPU_DEFINE(GaussianKlGrad<float>)
DIABOLO_CPU_DEFINE(GaussianKlGrad<Bf16>)

}  // namespace diabolo::kernels::cpu
