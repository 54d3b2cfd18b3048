// activate: its attributes, input and output.
#pragma once

#include "kernels/common/activations.h"
#include "ops/op.h"

namespace diabolo {

// z T[…] -> y T[…].
struct ActivateAttrs {
  kernels::Activation activation = kernels::Activation::kIdentity;
};
extern const OpDef kActivate;

}  // namespace diabolo
