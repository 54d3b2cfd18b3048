// The ops at the end of a training step: their attributes, inputs and outputs.
#pragma once

#include "kernels/optimizer.h"
#include "ops/op.h"

namespace diabolo {

// grads f32[n] -> norm f32[1].
struct GlobalNormAttrs {};
extern const OpDef kGlobalNorm;

// grads f32[n], state, loss f32[1], norm f32[1] if clipping -> writes master f32[n], m if the rule
// has one, v if it has one, low bf16[n] if has_low.
struct OptimizerAttrs {
  kernels::OptimizerRule rule = {};
  bool has_low = false;
};
extern const OpDef kOptimizer;
bool has_m(const kernels::OptimizerRule& rule);
bool has_v(const kernels::OptimizerRule& rule);

// terms A[1] … (at most kMaxTerms) -> total A[1].
struct SumTermsAttrs {};
extern const OpDef kSumTerms;

// scalars f32[kStepSlots,4], loss f32[1], norm f32[1] if has_norm, the loss's terms f32[1] as many
// as `terms` -> writes state, losses f32[kStepSlots] and, with terms,
// f32[kStepSlots,terms].
struct AdvanceAttrs {
  uint64_t batch_rows = 0;
  bool has_norm = false;
  int terms = 0;
};
extern const OpDef kAdvance;

// The step state as a tensor.
TensorDesc step_state_desc();
TensorDesc step_scalars_desc();
TensorDesc step_losses_desc();
TensorDesc step_terms_desc(int terms);

}  // namespace diabolo
