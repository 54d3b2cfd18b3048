// activation_grad: its attributes, inputs and output.
#pragma once

#include "kernels/common/activations.h"
#include "ops/op.h"

namespace diabolo {

// dy T[…], saved T[…] -> dz T[…].
struct ActivationGradAttrs {
  kernels::Activation activation = kernels::Activation::kIdentity;
};
extern const OpDef kActivationGrad;

}  // namespace diabolo
