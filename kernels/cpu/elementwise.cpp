// Sum of two tensors, derivative of an activation, loss of a tensor.
#include <algorithm>
#include <type_traits>

#include "kernels/activation_grad.h"
#include "kernels/add.h"
#include "kernels/cpu/define.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/passes.h"
#include "kernels/loss.h"

namespace diabolo::kernels::cpu {
namespace {

template <class T>
Launch make(const Add<T>& p, const CpuFeatures& cpu, void*) {
  return [p, team = Team(cpu, p.n, pass_cost::kCopy)](void*) {
    parallel_for(team.threads, chunk_count(p.n, kChunk), [&](int64_t chunk) {
      const Range range = chunk_range(chunk, kChunk, p.n);
      on_isa(team.isa, [&] {
        DIABOLO_IVDEP
        for (int64_t k = range.begin; k < range.end; ++k) {
          p.y[k] = narrow<T>(widen(p.a[k]) + widen(p.b[k]));
        }
      });
    });
  };
}

template <class T>
Launch make(const ActivationGrad<T>& p, const CpuFeatures& cpu, void*) {
  const Team team(cpu, p.n, pass_cost::kCurve);
  return [p, team, slope = slope_block(team.isa, p.activation)](void*) {
    apply_slope(team, slope, p.dy, p.saved, p.dz, p.n);
  };
}

template <class T>
uint64_t scratch_of(const LossOf<T>& p) {
  return static_cast<uint64_t>(chunk_count(p.n, kChunk)) * sizeof(float);
}

template <class T>
Launch make(const LossOf<T>& p, const CpuFeatures& cpu, void* scratch) {
  const Team team(cpu, p.n, pass_cost::kLoss);
  const float scale = p.scale / static_cast<float>(p.n);
  const LossBlock loss = loss_block(team.isa, p.activation, p.kind);
  return [p, team, scale, loss, partials = static_cast<float*>(scratch)](void*) {
    loss_pass(team, loss, scale, p.z, p.target, p.dz, partials, p.n);
    *p.loss = static_cast<float>(ordered_total(partials, chunk_count(p.n, kChunk)) * scale);
  };
}

}  // namespace

DIABOLO_CPU_DEFINE(Add<float>)
DIABOLO_CPU_DEFINE(Add<Bf16>)
DIABOLO_CPU_DEFINE(ActivationGrad<float>)
DIABOLO_CPU_DEFINE(ActivationGrad<Bf16>)
DIABOLO_CPU_DEFINE(LossOf<float>)
DIABOLO_CPU_DEFINE(LossOf<Bf16>)

}  // namespace diabolo::kernels::cpu
