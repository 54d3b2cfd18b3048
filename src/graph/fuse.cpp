#include "graph/fuse.h"

#include <algorithm>
#include <array>

#include "ops/activation_grad.h"
#include "ops/dense.h"

namespace diabolo {
namespace {

// How many nodes read the value, in whatever shape, and how many outputs are the value in another.
int64_t readers(const std::vector<Node>& nodes, const Graph& graph, ValueId value) {
  int64_t count = std::ranges::count_if(graph.values(), [&](const Value& other) {
    return other.alias_of == value && other.role == Role::kOutput;
  });
  for (const Node& node : nodes)
    count += std::ranges::count_if(node.in, [&](ValueId in) { return graph.root(in) == value; });
  return count;
}

// dx = dense_data_grad(dz, W); dz' = activation_grad(dx, saved)
//   ->  dz' = dense_data_grad(dz, W, saved), the derivative in the product's epilogue.
// Holds where dx is read by nobody else. `saved` is from the forward pass, so it stands before
// both.
bool data_grad_takes_activation_grad(std::vector<Node>& nodes, const Graph& graph) {
  for (size_t k = 0; k < nodes.size(); ++k) {
    const Node& product = nodes[k];
    if (product.op != &kDenseDataGrad) continue;
    auto attrs = product.attrs.as<DenseDataGradAttrs>();
    const ValueId dx = product.out[0];
    if (attrs.has_epilogue || graph.value(dx).role != Role::kTemporary ||
        readers(nodes, graph, dx) != 1)
      continue;
    const auto after = nodes.begin() + static_cast<std::ptrdiff_t>(k) + 1;
    const auto pass = std::find_if(after, nodes.end(), [&](const Node& node) {
      return node.op == &kActivationGrad && node.in[0] == dx;
    });
    if (pass == nodes.end()) continue;
    attrs.has_epilogue = true;
    attrs.activation = pass->attrs.as<ActivationGradAttrs>().activation;
    nodes[k] = {&kDenseDataGrad,
                attrs,
                {product.in[0], product.in[1], pass->in[1]},
                pass->out,
                product.name};
    nodes.erase(pass);
    return true;
  }
  return false;
}

// A rule applies itself once, anywhere, and returns false if there is no place left.
using FuseRule = bool (*)(std::vector<Node>& nodes, const Graph& graph);

constexpr std::array<FuseRule, 1> kRules = {
    data_grad_takes_activation_grad,
};

}  // namespace

Graph fuse(const Graph& graph) {
  std::vector<Node> nodes(graph.nodes().begin(), graph.nodes().end());
  for (const FuseRule rule : kRules) {
    while (rule(nodes, graph)) {
    }
  }
  return graph.with_nodes(std::move(nodes));
}

}  // namespace diabolo
