// Rewrite rules: a handful of pattern, condition, replacement. The only place where nodes are
// merged; backends and the executor run what they are given.
#pragma once

#include "graph/graph.h"

namespace diabolo {

// How many of `nodes` read the value, in whatever shape, and how many outputs are the value in
// another.
int64_t readers(std::span<const Node> nodes, const Graph& graph, ValueId value);

// The graph with every rule applied until none fits.
Graph fuse(const Graph& graph);

}  // namespace diabolo
