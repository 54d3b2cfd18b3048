// top_k and its gradient: their attributes, inputs and outputs.
#pragma once

#include "ops/op.h"

namespace diabolo {

// x T[B,…] -> y T[B,…], last u32[B]: the column of the k-th.
struct TopKAttrs {
  int64_t k = 1;
};
extern const OpDef kTopK;

// x T[B,…], dy T[B,…], last u32[B] -> dx T[B,…].
struct TopKGradAttrs {};
extern const OpDef kTopKGrad;

}  // namespace diabolo
