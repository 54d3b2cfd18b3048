// Rewrite rules: a handful of pattern, condition, replacement. The only place where nodes are
// merged; backends and the executor run what they are given.
#pragma once

#include "graph/graph.h"

namespace diabolo {

// The graph with every rule applied until none fits.
Graph fuse(const Graph& graph);

}  // namespace diabolo
