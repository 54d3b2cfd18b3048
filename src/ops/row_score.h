// row_score: its attributes, inputs and outputs.
#pragma once

#include "ops/op.h"

namespace diabolo {

// y T[B,…], target T[B,…] -> score A[B], and where worst > 0: index u32[B,worst], error A[B,worst].
struct RowScoreAttrs {
  int64_t worst = 0;
};
extern const OpDef kRowScore;

}  // namespace diabolo
