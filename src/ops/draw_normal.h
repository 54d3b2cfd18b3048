// draw_normal: rows of normal draws.
#pragma once

#include "ops/op.h"

namespace diabolo {

// scale f32[1], state -> z f32[rows,width], normal of mean 0 and that deviation.
struct DrawNormalAttrs {
  int64_t rows = 0, width = 0;
};
extern const OpDef kDrawNormal;

}  // namespace diabolo
