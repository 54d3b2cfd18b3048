// What writes state of the model.
#pragma once

#include "ops/op.h"

namespace diabolo {

// next f32[…], step state, loss f32[1], norm f32[1] if has_norm -> writes state f32[…].
struct UpdateStateAttrs {
  bool has_norm = false;
};
extern const OpDef kUpdateState;

}  // namespace diabolo
