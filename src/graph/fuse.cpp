#include "graph/fuse.h"

#include <algorithm>
#include <array>
#include <optional>

#include "ops/activation_grad.h"
#include "ops/conv2d.h"
#include "ops/dense.h"
#include "ops/loss.h"
#include "ops/row_score.h"

namespace diabolo {

int64_t readers(std::span<const Node> nodes, const Graph& graph, ValueId value) {
  int64_t count = std::ranges::count_if(graph.values(), [&](const Value& other) {
    return other.alias_of == value && other.role == Role::kOutput;
  });
  for (const Node& node : nodes)
    count += std::ranges::count_if(node.in, [&](ValueId in) { return graph.root(in) == value; });
  return count;
}

namespace {

// dx = data_grad(dz, W); dz' = activation_grad(dx, saved)
//   ->  dz' = data_grad(dz, W, saved), the derivative in the epilogue; A: attributes of data_grad.
// Holds where dx is read by nobody else, and in whatever shape of its rows. `saved` is from the
// forward pass, so it stands before both.
template <const OpDef* data_grad, class A>
bool takes_activation_grad(std::vector<Node>& nodes, const Graph& graph) {
  for (size_t k = 0; k < nodes.size(); ++k) {
    const Node& product = nodes[k];
    if (product.op != data_grad) continue;
    auto attrs = product.attrs.as<A>();
    const ValueId dx = product.out[0];
    if (attrs.has_epilogue || graph.value(dx).role != Role::kTemporary ||
        readers(nodes, graph, dx) != 1)
      continue;
    const auto after = nodes.begin() + static_cast<std::ptrdiff_t>(k) + 1;
    const auto pass = std::find_if(after, nodes.end(), [&](const Node& node) {
      return node.op == &kActivationGrad && graph.root(node.in[0]) == dx &&
             graph.value(node.in[0]).desc.extent(0) == graph.value(dx).desc.extent(0);
    });
    if (pass == nodes.end()) continue;
    attrs.has_epilogue = true;
    const Attrs& of_pass = pass->attrs;
    attrs.activation = of_pass.as<ActivationGradAttrs>().activation;
    nodes[k] = {
        data_grad, attrs, {product.in[0], product.in[1], pass->in[1]}, pass->out, product.name};
    nodes.erase(pass);
    return true;
  }
  return false;
}

// y = dense_forward(x, W, b); out = ending(y, target)
//   ->  out = fused(x, W, b, target), where y is read by nobody else.
// What y would have been rounded to in memory, bf16, it no longer is.
// joined: the attributes of the fused op, or nothing if it cannot do what the two do.
bool dense_takes_ending(std::vector<Node>& nodes, const Graph& graph, const OpDef& ending,
                        const OpDef& fused,
                        std::optional<Attrs> (*joined)(const DenseForwardAttrs&, const Attrs&)) {
  for (auto end = nodes.begin(); end != nodes.end(); ++end) {
    if (end->op != &ending) continue;
    const ValueId y = end->in[0];
    const auto dense = std::find_if(nodes.begin(), end, [&](const Node& node) {
      return node.op == &kDenseForward && node.out[0] == y;
    });
    if (dense == end || graph.value(y).role != Role::kTemporary || readers(nodes, graph, y) != 1)
      continue;
    const auto attrs = joined(dense->attrs.as<DenseForwardAttrs>(), end->attrs);
    if (!attrs) continue;
    std::vector<ValueId> in = dense->in;
    in.insert(in.end(), end->in.begin() + 1, end->in.end());
    *end = {&fused, *attrs, std::move(in), end->out, end->name};
    nodes.erase(dense);
    return true;
  }
  return false;
}

// The layer is linear: its activation is the loss's.
bool dense_takes_loss(std::vector<Node>& nodes, const Graph& graph) {
  return dense_takes_ending(
      nodes, graph, kLoss, kDenseLoss,
      [](const DenseForwardAttrs& dense, const Attrs& any) -> std::optional<Attrs> {
        if (dense.activation != kernels::Activation::kIdentity) return std::nullopt;
        const auto loss = any.as<LossAttrs>();
        return DenseLossAttrs{.activation = loss.activation,
                              .loss = loss.loss,
                              .scale = loss.scale,
                              .has_bias = dense.has_bias,
                              .with_gradient = loss.with_gradient,
                              .weight_transposed = dense.weight_transposed};
      });
}

bool dense_takes_score(std::vector<Node>& nodes, const Graph& graph) {
  return dense_takes_ending(
      nodes, graph, kRowScore, kDenseScore,
      [](const DenseForwardAttrs& dense, const Attrs& any) -> std::optional<Attrs> {
        if (dense.stores_z || any.as<RowScoreAttrs>().worst > 0) return std::nullopt;
        return DenseScoreAttrs{dense.activation, dense.has_bias, dense.weight_transposed};
      });
}

// A rule applies itself once, anywhere, and returns false if there is no place left.
using FuseRule = bool (*)(std::vector<Node>& nodes, const Graph& graph);

constexpr std::array<FuseRule, 4> kRules = {
    takes_activation_grad<&kDenseDataGrad, DenseDataGradAttrs>,
    takes_activation_grad<&kConv2dDataGrad, Conv2dDataGradAttrs>,
    dense_takes_loss,
    dense_takes_score,
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
