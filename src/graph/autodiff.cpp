#include "graph/autodiff.h"

#include <algorithm>

#include "base/error.h"
#include "ops/add.h"

namespace diabolo {
namespace {

// By value: whether a parameter lies behind it.
std::vector<bool> find_wanted(const Graph& graph) {
  std::vector<bool> wanted(graph.values().size());
  for (size_t k = 0; k < wanted.size(); ++k) wanted[k] = graph.values()[k].role == Role::kParameter;
  for (const Node& node : graph.nodes()) {
    const bool reads_wanted = std::ranges::any_of(
        node.in, [&](ValueId in) { return wanted[static_cast<size_t>(graph.root(in))]; });
    for (const ValueId out : node.out) {
      if (reads_wanted) wanted[static_cast<size_t>(out)] = true;
    }
  }
  return wanted;
}

// Appends to the graph that it differentiates. Aliases have the gradient of their root, in their
// own shape.
class GraphGradBuilder final : public GradBuilder {
 public:
  explicit GraphGradBuilder(Graph& graph)
      : graph_(graph), wants_(find_wanted(graph)), gradient_(graph.values().size(), kNoValue) {}

  TensorDesc desc(ValueId value) const override { return graph_.value(value).desc; }
  bool wants(ValueId value) const override { return wants_.at(root(value)); }

  ValueId gradient(ValueId value) const override {
    if (const auto found = std::ranges::find(pending_, graph_.root(value)); found != pending_.end())
      pending_.erase(found);
    const ValueId sum = gradient_.at(root(value));
    return sum == kNoValue ? kNoValue : shaped_as(value, sum);
  }

  void contribute(ValueId value, ValueId gradient) override {
    ValueId& sum = gradient_.at(root(value));
    gradient = shaped_as(graph_.root(value), gradient);
    if (sum == kNoValue) {
      sum = gradient;
      return;
    }
    sum = emit(kAdd, AddAttrs{}, {sum, gradient}, graph_.value(value).name + " gradient sum")[0];
  }

  // The op's `grad`. A gradient that it does not ask for would be lost: a loss has written its own
  // by the inputs in the forward pass, for 1.
  void run(const Node& node) {
    DIABOLO_CHECK(node.op->grad != nullptr, node.name, " (", node.op->name, ") has no gradient");
    for (const ValueId out : node.out)
      if (gradient_.at(root(out)) != kNoValue) pending_.push_back(graph_.root(out));
    node.op->grad(*this, node);
    DIABOLO_CHECK(pending_.empty(), node.name, " (", node.op->name,
                  ") has the gradient 1 alone: it cannot be weighed or be part of a sum");
  }

  Slot slot(ValueId parameter) override {
    const Value target = graph_.value(parameter);
    DIABOLO_CHECK(target.role == Role::kParameter, target.name, " is no parameter");
    const bool accumulate = std::ranges::find(written_slots_, target.name) != written_slots_.end();
    if (!accumulate) written_slots_.push_back(target.name);
    const DType dtype = target.desc.dtype() == DType::kF64 ? DType::kF64 : DType::kF32;
    const TensorDesc whole(dtype, graph_.value(graph_.root(parameter)).desc.extents());
    const ValueId gradient = graph_.add_gradient(target.name, whole);
    return {graph_.reshape(gradient, target.desc.extents()), accumulate};
  }

  std::vector<ValueId> emit(const OpDef& op, const Attrs& attrs, std::initializer_list<ValueId> in,
                            std::string name) override {
    return graph_.add(op, attrs, in, std::move(name));
  }

  std::vector<ValueId> emit_into(const OpDef& op, const Attrs& attrs, std::span<const ValueId> in,
                                 std::span<const ValueId> out, std::string name) override {
    return graph_.add_into(op, attrs, in, out, std::move(name));
  }

 private:
  size_t root(ValueId value) const { return static_cast<size_t>(graph_.root(value)); }
  ValueId shaped_as(ValueId value, ValueId gradient) const {
    return graph_.reshape(gradient, desc(value).extents());
  }

  Graph& graph_;
  std::vector<bool> wants_;
  std::vector<ValueId> gradient_;
  std::vector<std::string> written_slots_;
  mutable std::vector<ValueId> pending_;  // gradients by outputs that nobody has asked for yet
};

}  // namespace

void differentiate(Graph& graph, std::span<const ValueId> loss_terms) {
  GraphGradBuilder builder(graph);
  for (auto id = static_cast<NodeId>(graph.nodes().size()) - 1; id >= 0; --id) {
    const Node node = graph.node(id);  // a copy: the list grows under us
    const bool is_loss = std::ranges::any_of(
        loss_terms, [&](ValueId term) { return graph.root(term) == node.out[0]; });
    const bool has_gradient = std::ranges::any_of(
        node.out, [&](ValueId out) { return builder.gradient(out) != kNoValue; });
    const bool leads_to_parameter =
        std::ranges::any_of(node.in, [&](ValueId in) { return builder.wants(in); });
    if ((!is_loss && !has_gradient) || !leads_to_parameter) continue;
    DIABOLO_CHECK(!is_loss || !has_gradient, node.name,
                  " is a part of the loss and is read by another");
    builder.run(node);
  }
}

}  // namespace diabolo
