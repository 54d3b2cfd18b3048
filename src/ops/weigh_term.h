// weigh_term: what a term adds to the loss.
#pragma once

#include "ops/op.h"

namespace diabolo {

// raw A[1], and where a schedule drives the weight weights f32[kStepSlots,count], step state
// -> contribution A[1], weight A[1].
struct WeighTermAttrs {
  float weight = 1;
  int column = -1;  // of weights; negative: the weight above, in every step
};
extern const OpDef kWeighTerm;

}  // namespace diabolo
