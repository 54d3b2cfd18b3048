// Rewrite rules: a handful of pattern, condition, replacement. The only place where nodes are
// merged; backends and the executor run what they are given.
#pragma once

#include <span>
#include <string>

#include "graph/graph.h"

namespace diabolo {

struct FuseRule {
  const char* name;
  const char* what;  // one sentence for `diabolo plan`
  // Applies the rule once, anywhere; returns false if there is no place left.
  bool (*apply)(std::vector<Node>& nodes, const Graph& graph);
};
std::span<const FuseRule> fuse_rules();

// The graph with every rule applied until none fits.
Graph fuse(const Graph& graph);

}  // namespace diabolo
