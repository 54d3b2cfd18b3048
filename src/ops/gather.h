// gather: its attributes, inputs and output.
#pragma once

#include "ops/op.h"

namespace diabolo {

// source (u8|f32)[N,…], if scaled: shift f32[D], scale f32[D], D the elements of a row, and if
// indexed: order u32[N], state -> T[rows,…]. Not indexed: the first `rows` rows of the source.
struct GatherAttrs {
  int64_t rows = 0;
  bool indexed = false;
  DType dtype = DType::kF32;
  bool scaled = true;
};
extern const OpDef kGather;

}  // namespace diabolo
