// reparameterise and its gradient: their attributes, inputs and outputs.
#pragma once

#include "kernels/gaussian_kl.h"
#include "ops/op.h"

namespace diabolo {

struct ReparameteriseAttrs {
  uint32_t layer = 0;  // layers draw independently
  float low = kernels::kLowLogVariance, high = kernels::kHighLogVariance;
};

// mean T[B,…], log_variance T[B,…], state -> z T[B,…].
extern const OpDef kReparameterise;

// log_variance T[B,…], dz T[B,…], state -> d_log_variance T[B,…].
extern const OpDef kReparameteriseGrad;

}  // namespace diabolo
