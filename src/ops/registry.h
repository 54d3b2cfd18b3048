// The one list of ops.
#pragma once

#include <span>
#include <string_view>

#include "ops/op.h"

namespace diabolo {

std::span<const OpDef* const> all_ops();
const OpDef* find_op(std::string_view name);  // null if there is none

}  // namespace diabolo
