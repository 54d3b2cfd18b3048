// The end of a step: sums of squares, the update of all parameters, the advance of the state.
//
// Traffic of the update: 16 bytes read and 12 written a parameter (Adam), 2 more for a bf16 copy;
// two divisions and a square root each, so it is bound by memory unless the blobs sit in a cache.
#include <cmath>

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/define.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/passes.h"
#include "kernels/optimizer.h"
#include "kernels/penalty.h"

namespace diabolo::kernels::cpu {
namespace {

// partials[chunk] = sum of squares of values in chunk.
void square_sums(const Team& team, const float* values, int64_t n, float* partials) {
  parallel_for(team.threads, chunk_count(n, kChunk), [&](int64_t chunk) {
    const Range range = chunk_range(chunk, kChunk, n);
    on_isa(team.isa, [&] {
      LaneSum sum;
      sum.add_squares(values + range.begin, range.size());
      partials[chunk] = sum.total();
    });
  });
}

uint64_t partial_bytes(int64_t n) {
  return static_cast<uint64_t>(chunk_count(n, kChunk)) * sizeof(float);
}

uint64_t scratch_of(const GlobalNorm<float>& p) {
  return partial_bytes(p.n);
}

Launch make(const GlobalNorm<float>& p, const CpuFeatures& cpu, void* scratch) {
  return
      [p, team = Team(cpu, p.n, pass_cost::kCopy), partials = static_cast<float*>(scratch)](void*) {
        square_sums(team, p.grad, p.n, partials);
        *p.norm = static_cast<float>(std::sqrt(ordered_total(partials, chunk_count(p.n, kChunk))));
      };
}

uint64_t scratch_of(const L2Penalty<float>& p) {
  return partial_bytes(p.n);
}

Launch make(const L2Penalty<float>& p, const CpuFeatures& cpu, void* scratch) {
  return
      [p, team = Team(cpu, p.n, pass_cost::kCopy), partials = static_cast<float*>(scratch)](void*) {
        square_sums(team, p.weight, p.n, partials);
        const double sum = ordered_total(partials, chunk_count(p.n, kChunk));
        *p.loss = static_cast<float>(sum * static_cast<double>(p.lambda));
      };
}

Launch make(const L2PenaltyGrad<float>& p, const CpuFeatures& cpu, void*) {
  return [p, team = Team(cpu, p.n, pass_cost::kCopy)](void*) {
    const float factor = p.factor();
    parallel_for(team.threads, chunk_count(p.n, kChunk), [&](int64_t chunk) {
      const Range range = chunk_range(chunk, kChunk, p.n);
      on_isa(team.isa, [&] {
        if (p.accumulate) {
          DIABOLO_IVDEP
          for (int64_t k = range.begin; k < range.end; ++k) {
            p.d_weight[k] = p.d_weight[k] + factor * p.weight[k];
          }
        } else {
          DIABOLO_IVDEP
          for (int64_t k = range.begin; k < range.end; ++k) p.d_weight[k] = factor * p.weight[k];
        }
      });
    });
  };
}

// The update of [begin, end). kind and the absence of buffers are template parameters so that the
// loop has no branch; update_element then folds to the one rule.
template <Optimizer kind, bool has_m>
void update_range(const OptimizerStep<float>& p, const StepScalars scalars, float scale,
                  Range range) {
  OptimizerRule rule = p.rule;
  rule.kind = kind;
  DIABOLO_IVDEP
  for (int64_t k = range.begin; k < range.end; ++k) {
    const float m = has_m ? p.m[k] : 0.0f;
    const float v = kind == Optimizer::kSgd ? 0.0f : p.v[k];
    const Updated<float> now =
        update_element<float>(rule, scalars, p.grad[k] * scale, p.master[k], m, v);
    p.master[k] = now.master;
    if constexpr (has_m) p.m[k] = now.m;
    if constexpr (kind != Optimizer::kSgd) p.v[k] = now.v;
  }
}

void update_chunk(const OptimizerStep<float>& p, float scale, Range range) {
  const StepScalars scalars = p.state->scalars;
  switch (p.rule.kind) {
    case Optimizer::kAdam:
      update_range<Optimizer::kAdam, true>(p, scalars, scale, range);
      break;
    case Optimizer::kAdamW:
      update_range<Optimizer::kAdamW, true>(p, scalars, scale, range);
      break;
    case Optimizer::kSgd:
      if (p.m) {
        update_range<Optimizer::kSgd, true>(p, scalars, scale, range);
      } else {
        update_range<Optimizer::kSgd, false>(p, scalars, scale, range);
      }
      break;
  }
  if (p.low) narrow_block(p.master + range.begin, p.low + range.begin, range.size());
}

Launch make(const OptimizerStep<float>& p, const CpuFeatures& cpu, void*) {
  return [p, team = Team(cpu, p.n, pass_cost::kUpdate)](void*) {
    if (step_is_void(*p.state, p.loss, p.norm)) return;
    const float scale = clip_scale(p.rule, p.norm);
    parallel_for(team.threads, chunk_count(p.n, kChunk), [&](int64_t chunk) {
      const Range range = chunk_range(chunk, kChunk, p.n);
      on_isa(team.isa, [&] { update_chunk(p, scale, range); });
    });
  };
}

Launch make(const SumTerms<float>& p, const CpuFeatures&, void*) {
  return [p](void*) { sum_terms_reference(p); };
}

Launch make(const Advance& p, const CpuFeatures&, void*) {
  return [p](void*) { advance_state(p); };
}

}  // namespace

DIABOLO_CPU_DEFINE(GlobalNorm<float>)
DIABOLO_CPU_DEFINE(L2Penalty<float>)
DIABOLO_CPU_DEFINE(L2PenaltyGrad<float>)
DIABOLO_CPU_DEFINE(OptimizerStep<float>)
DIABOLO_CPU_DEFINE(SumTerms<float>)
DIABOLO_CPU_DEFINE(Advance)

}  // namespace diabolo::kernels::cpu
