// shuffle: the order in which an epoch visits its rows.
#pragma once

#include "ops/op.h"

namespace diabolo {

// state, whose step is the epoch -> order u32[rows], rows from 1 to 2^32 - 1.
struct ShuffleAttrs {
  int64_t rows = 0;
};
extern const OpDef kShuffle;

}  // namespace diabolo
