// Every op: its attributes, its inputs and outputs. The mathematics is in kernels/<family>.h.
// In the comments T is f32, bf16 or f64 and A the type it accumulates in (f32 for bf16, else T).
#pragma once

#include <cstdint>

#include "kernels/common/activations.h"
#include "kernels/common/losses.h"
#include "kernels/noise.h"
#include "kernels/optimizer.h"
#include "ops/op.h"

namespace diabolo {

// x T[B,I], weight T[I,O], bias A[O] if has_bias -> y T[B,O], and z T[B,O] if stores_z.
struct DenseForwardAttrs {
  kernels::Activation activation = kernels::Activation::kIdentity;
  bool has_bias = true;
  bool stores_z = false;           // for the gradient of an activation that needs z
  bool weight_transposed = false;  // weight T[O,I]: tied to the layer that encodes
};
extern const OpDef kDenseForward;

// x, weight, bias if has_bias, target T[B,O] -> loss A[1], and dz T[B,O] if with_gradient.
struct DenseLossAttrs {
  kernels::Activation activation = kernels::Activation::kIdentity;
  kernels::Loss loss = kernels::Loss::kMse;
  float scale = 1;
  bool has_bias = true;
  bool with_gradient = true;
  bool weight_transposed = false;
};
extern const OpDef kDenseLoss;

// x, weight, bias if has_bias, target T[B,O] -> score A[B].
struct DenseScoreAttrs {
  kernels::Activation activation = kernels::Activation::kIdentity;
  bool has_bias = true;
  bool weight_transposed = false;
};
extern const OpDef kDenseScore;

// dz T[B,O], weight, saved T[B,I] if has_epilogue -> dx T[B,I].
struct DenseDataGradAttrs {
  kernels::Activation activation = kernels::Activation::kIdentity;  // of the layer below
  bool has_epilogue = false;
  bool weight_transposed = false;
};
extern const OpDef kDenseDataGrad;

// x T[B,I], dz T[B,O] -> d_weight A[I,O] (or [O,I]), and d_bias A[O] if has_bias.
struct DenseWeightGradAttrs {
  bool has_bias = true;
  bool accumulates_weight = false;  // adds to what the gradient holds
  bool accumulates_bias = false;
  bool weight_transposed = false;
};
extern const OpDef kDenseWeightGrad;

// dy T[…], saved T[…] -> dz T[…].
struct ActivationGradAttrs {
  kernels::Activation activation = kernels::Activation::kIdentity;
};
extern const OpDef kActivationGrad;

// z T[…], target T[…] -> loss A[1], and dz T[…] if with_gradient.
struct LossAttrs {
  kernels::Activation activation = kernels::Activation::kIdentity;
  kernels::Loss loss = kernels::Loss::kMse;
  float scale = 1;
  bool with_gradient = true;
};
extern const OpDef kLoss;

// a, b T[…] -> a + b.
struct AddAttrs {};
extern const OpDef kAdd;

// x T[B,D], state -> y T[B,D].
struct DropoutAttrs {
  float rate = 0;
  uint32_t layer = 0;
};
extern const OpDef kDropout;

// x T[B,D], state -> y T[B,D].
struct CorruptAttrs {
  kernels::Corruption kind = kernels::Corruption::kGaussian;
  float amount = 0;
  float low = -3.4e38f, high = 3.4e38f;
};
extern const OpDef kCorrupt;

// weight f32[…] (the master, whatever the precision) -> loss f32[1].
struct L2PenaltyAttrs {
  float lambda = 0;
};
extern const OpDef kL2Penalty;

// weight f32[…] -> d_weight f32[…].
struct L2PenaltyGradAttrs {
  float lambda = 0;
  bool accumulate = false;
};
extern const OpDef kL2PenaltyGrad;

// y T[B,D], target T[B,D] -> score A[B], and where worst > 0: index u32[B,worst], error A[B,worst].
struct RowScoreAttrs {
  int64_t worst = 0;
};
extern const OpDef kRowScore;

// source (u8|f32)[N,D], shift f32[D], scale f32[D], and if indexed: order u32[N], state
//   -> T[rows,D]. Not indexed: the first `rows` rows of the source.
struct GatherAttrs {
  int64_t rows = 0;
  bool indexed = false;
  DType dtype = DType::kF32;
};
extern const OpDef kGather;

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

// plans f32[kStepSlots,4], loss f32[1], norm f32[1] if has_norm, the loss's terms f32[1] as many as
// `terms` -> writes state, losses f32[kStepSlots] and, with terms, f32[kStepSlots,kMaxLossTerms].
struct AdvanceAttrs {
  uint64_t batch_rows = 0;
  bool has_norm = false;
  int terms = 0;
};
extern const OpDef kAdvance;

// The step state as a tensor.
TensorDesc step_state_desc();
TensorDesc step_plans_desc();
TensorDesc step_losses_desc();
TensorDesc step_terms_desc();

}  // namespace diabolo
