// dropout and corrupt: their attributes, inputs and outputs.
#pragma once

#include "kernels/noise.h"
#include "ops/op.h"

namespace diabolo {

// x T[B,…], state -> y T[B,…].
struct DropoutAttrs {
  float rate = 0;
  uint32_t layer = 0;
};
extern const OpDef kDropout;

// x T[B,…], state -> y T[B,…].
struct CorruptAttrs {
  kernels::Corruption kind = kernels::Corruption::kGaussian;
  float amount = 0;
  float low = -3.4e38f, high = 3.4e38f;
};
extern const OpDef kCorrupt;

}  // namespace diabolo
