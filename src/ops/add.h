// add: its inputs and output.
#pragma once

#include "ops/op.h"

namespace diabolo {

// a, b T[…] -> a + b.
struct AddAttrs {};
extern const OpDef kAdd;

}  // namespace diabolo
