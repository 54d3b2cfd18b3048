// layer_norm and its gradient: their attributes, inputs and outputs.
#pragma once

#include "ops/op.h"

namespace diabolo {

// x T[…,D], gain A[D], bias A[D] -> y T[…,D].
struct LayerNormAttrs {
  float epsilon = 1e-5f;
};
extern const OpDef kLayerNorm;

// x T[…,D], gain A[D], dy T[…,D] -> d_gain A[D], d_bias A[D], and dx T[…,D] if has_dx.
struct LayerNormGradAttrs {
  float epsilon = 1e-5f;
  bool accumulates_gain = false;  // adds to what the gradient holds
  bool accumulates_bias = false;
  bool has_dx = true;
};
extern const OpDef kLayerNormGrad;

}  // namespace diabolo
