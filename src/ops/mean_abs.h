// mean_abs and its gradient: their inputs and outputs.
#pragma once

#include "ops/op.h"

namespace diabolo {

// x T[…] -> mean A[1].
struct MeanAbsAttrs {};
extern const OpDef kMeanAbs;

// x T[…], the gradient by the mean A[1] -> dx T[…].
struct MeanAbsGradAttrs {};
extern const OpDef kMeanAbsGrad;

}  // namespace diabolo
