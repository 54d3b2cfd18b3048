// The one list of ops.
#pragma once

#include <span>

#include "ops/op.h"

namespace diabolo {

std::span<const OpDef* const> all_ops();

}  // namespace diabolo
