// loss: its attributes, inputs and outputs.
#pragma once

#include "kernels/common/activations.h"
#include "kernels/common/losses.h"
#include "ops/op.h"

namespace diabolo {

// z T[…], target T[…] -> loss A[1], and dz T[…] if with_gradient.
struct LossAttrs {
  kernels::Activation activation = kernels::Activation::kIdentity;
  kernels::Loss loss = kernels::Loss::kMse;
  float scale = 1;
  bool with_gradient = true;
};
extern const OpDef kLoss;

}  // namespace diabolo
