// The dense ops: their attributes, inputs and outputs.
#pragma once

#include "kernels/common/activations.h"
#include "kernels/common/losses.h"
#include "ops/op.h"

namespace diabolo {

// Here x is T[B,I], or of whatever shape has rows of I elements; its gradient comes as [B,I].

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

// dz T[B,O], weight -> dx T[B,I]; if has_epilogue also saved T[B,…] of I elements a row -> dx like
// saved.
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

}  // namespace diabolo
