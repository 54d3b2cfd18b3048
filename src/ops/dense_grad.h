// The gradients that every dense op emits once dz is known.
#pragma once

#include "ops/grad_builder.h"

namespace diabolo {

// Emits weight, bias and data gradients of a node whose inputs are x, weight and perhaps bias.
void emit_dense_gradients(GradBuilder& builder, const Node& node, ValueId dz, bool has_bias,
                          bool weight_transposed);

}  // namespace diabolo
