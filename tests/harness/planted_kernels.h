// Kernels that are right but for one mistake each, written as people write them: in tiles, with
// tails, partial sums in scratch. The ladder must catch every one of them (planted_bugs_test.cpp).
#pragma once

#include "ops/op.h"

namespace diabolo::planted {

enum class Bug {
  kNone,
  kWrongTransposition,  // ignores that the weight is stored [O,I]
  kMissingBias,         // leaves the bias gradient as it was
  kMissingTailRow,      // the last row of a batch that is no multiple of the tile
  kMissingTailColumn,   // the same for columns
  kUninitialisedSum,    // begins a partial sum with what the scratch holds
  kDerivativeAtH,       // evaluates the derivative at f(z) where it needs z
  kMissingLastTile,     // of the reduction
  kIgnoresAccumulate,   // writes where it should add
  kReadsOverwritten,    // reads its input after it wrote the output that shares its memory
  kWrongCount,          // divides by the rows instead of the elements
  kSlopeAtZero,         // takes the slope of relu or |x| at exactly 0 as 1
  kLowPrecisionSum,     // sums in bf16
  kUnstableOrder,       // sums in another order every time
  kWritesPastTheEnd,    // one element
  kChangesItsInput,     // and leaves it changed
  kAssumesAlignment,    // rounds addresses down to 16 bytes
  kReadsPastTheEnd,     // a padded tile, times 0
  kOverflows,           // log(1 + exp z) as it is written
  kIgnoresHalt,         // updates in a void step
  kIgnoresStep,         // takes every step for the first
  kIgnoresLayer,        // draws the same for every layer
  kIgnoresUpstream,     // takes the gradient by its output as 1
  kRowsDependOnBatch,   // splits the reduction by the batch size
  kSlopeOutside,        // differentiates where the value was clamped
  kWritesPastScratch,   // one element
  kForgetsToRound,      // truncates to bf16
  kLaterOfEqual,        // takes of equal numbers the later ones
  kPhaseOffByOne,       // finds the taps of an image's place without what pads it
  kForgetsRest,        // makes an image of what a kernel reaches, and not what the stride left over
  kInterleavesGroups,  // takes channel c for one of group c mod groups
};
const char* name(Bug bug);

// A kernel for the op with that bug, for f32 (kForgetsToRound: bf16). InternalError if the op has
// none such.
Kernel planted_kernel(const OpDef& op, Bug bug);

}  // namespace diabolo::planted
