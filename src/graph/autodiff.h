// Reverse-mode differentiation: appends the gradient nodes to a graph.
#pragma once

#include <span>

#include "graph/graph.h"

namespace diabolo {

// Appends the gradients of the sum of `loss_terms` (each A[1]) by every parameter that they depend
// on. Throws InternalError for an op on the way that has no gradient.
void differentiate(Graph& graph, std::span<const ValueId> loss_terms);

}  // namespace diabolo
