// l2_penalty and its gradient: their attributes, inputs and outputs.
#pragma once

#include "ops/op.h"

namespace diabolo {

// weight f32[…] (the master, whatever the precision) -> loss f32[1].
struct L2PenaltyAttrs {
  float lambda = 0;
};
extern const OpDef kL2Penalty;

// weight f32[…], and where it is not 1 the gradient by the loss f32[1] -> d_weight f32[…].
struct L2PenaltyGradAttrs {
  float lambda = 0;
  bool accumulate = false;
};
extern const OpDef kL2PenaltyGrad;

}  // namespace diabolo
