// The mean of absolute values, in fixed chunks that are then added in order; and its gradient.
#include "kernels/mean_abs.h"

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/define.h"
#include "kernels/cpu/passes.h"

namespace diabolo::kernels::cpu {
namespace {

template <class T>
float abs_sum(const T* x, Range range) {
  LaneSum sum;
  float block[kBlock];
  for (int64_t at = range.begin; at < range.end; at += kBlock) {
    const int64_t n = std::min(kBlock, range.end - at);
    DIABOLO_IVDEP
    for (int64_t k = 0; k < n; ++k) block[k] = abs_of(widen(x[at + k]));
    sum.add(block, n);
  }
  return sum.total();
}

template <class T>
uint64_t scratch_of(const MeanAbs<T>& p) {
  return static_cast<uint64_t>(chunk_count(p.n, kChunk)) * sizeof(float);
}

template <class T>
Launch make(const MeanAbs<T>& p, const CpuFeatures& cpu, void* scratch) {
  return [p, team = Team(cpu, p.n, pass_cost::kCopy),
          partials = static_cast<float*>(scratch)](void*) {
    const int64_t count = chunk_count(p.n, kChunk);
    parallel_for(team.threads, count, [&](int64_t chunk) {
      on_isa(team.isa, [&] { partials[chunk] = abs_sum(p.x, chunk_range(chunk, kChunk, p.n)); });
    });
    *p.mean = static_cast<float>(ordered_total(partials, count) * share_of<double>(p.n));
  };
}

template <class T>
Launch make(const MeanAbsGrad<T>& p, const CpuFeatures& cpu, void*) {
  return [p, team = Team(cpu, p.n, pass_cost::kCopy)](void*) {
    const float scale = *p.g * share_of<float>(p.n);
    parallel_for(team.threads, chunk_count(p.n, kChunk), [&](int64_t chunk) {
      const Range range = chunk_range(chunk, kChunk, p.n);
      on_isa(team.isa, [&] {
        DIABOLO_IVDEP
        for (int64_t k = range.begin; k < range.end; ++k)
          p.dx[k] = narrow<T>(L1Loss::of(widen(p.x[k])).d_z * scale);
      });
    });
  };
}

}  // namespace

DIABOLO_CPU_DEFINE(MeanAbs<float>)
DIABOLO_CPU_DEFINE(MeanAbs<Bf16>)
DIABOLO_CPU_DEFINE(MeanAbsGrad<float>)
DIABOLO_CPU_DEFINE(MeanAbsGrad<Bf16>)

}  // namespace diabolo::kernels::cpu
