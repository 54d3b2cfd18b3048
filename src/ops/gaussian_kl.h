// gaussian_kl and its gradient: their attributes, inputs and outputs.
#pragma once

#include "kernels/gaussian_kl.h"
#include "ops/op.h"

namespace diabolo {

struct GaussianKlAttrs {
  float scale = 1;
  float low = kernels::kLowLogVariance, high = kernels::kHighLogVariance;
};

// mean T[…], log_variance T[…] -> kl A[1].
extern const OpDef kGaussianKl;

// mean T[…], log_variance T[…], the gradient by the kl A[1] -> d_mean T[…], d_log_variance T[…].
extern const OpDef kGaussianKlGrad;

}  // namespace diabolo
