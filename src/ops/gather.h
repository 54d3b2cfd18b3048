// gather: its attributes, inputs and output.
#pragma once

#include "ops/op.h"

namespace diabolo {

// source (u8|f32)[N,D], shift f32[D], scale f32[D], and if indexed: order u32[N], state
//   -> T[rows,D]. Not indexed: the first `rows` rows of the source.
struct GatherAttrs {
  int64_t rows = 0;
  bool indexed = false;
  DType dtype = DType::kF32;
};
extern const OpDef kGather;

}  // namespace diabolo
