#include "graph/autodiff.h"

#include <algorithm>

#include "base/error.h"
#include "ops/ops.h"

namespace diabolo {
namespace {

// By value: whether a parameter lies behind it.
std::vector<bool> find_wanted(const Graph& graph) {
  std::vector<bool> wanted(graph.values().size());
  for (size_t k = 0; k < wanted.size(); ++k) wanted[k] = graph.values()[k].role == Role::kParameter;
  for (const Node& node : graph.nodes()) {
    const bool reads_wanted =
        std::ranges::any_of(node.in, [&](ValueId in) { return wanted[static_cast<size_t>(in)]; });
    for (const ValueId out : node.out) {
      if (reads_wanted) wanted[static_cast<size_t>(out)] = true;
    }
  }
  return wanted;
}

}  // namespace

GradBuilder::GradBuilder(Graph& graph)
    : graph_(graph), wants_(find_wanted(graph)), gradient_(graph.values().size(), kNoValue) {}

bool GradBuilder::wants(ValueId value) const {
  return wants_.at(static_cast<size_t>(value));
}

ValueId GradBuilder::gradient(ValueId value) const {
  return gradient_.at(static_cast<size_t>(value));
}

void GradBuilder::contribute(ValueId value, ValueId gradient) {
  ValueId& sum = gradient_.at(static_cast<size_t>(value));
  if (sum == kNoValue) {
    sum = gradient;
    return;
  }
  sum = emit(kAdd, AddAttrs{}, {sum, gradient}, graph_.value(value).name + " gradient sum")[0];
}

GradBuilder::Slot GradBuilder::slot(ValueId parameter) {
  const Value target = graph_.value(parameter);
  DIABOLO_CHECK(target.role == Role::kParameter, target.name, " is no parameter");
  const bool accumulate = std::ranges::find(written_slots_, target.name) != written_slots_.end();
  if (!accumulate) written_slots_.push_back(target.name);
  const DType dtype = target.desc.dtype() == DType::kF64 ? DType::kF64 : DType::kF32;
  const TensorDesc desc(dtype, target.desc.extents());
  return {graph_.add_gradient(target.name, desc), accumulate};
}

std::vector<ValueId> GradBuilder::emit(const OpDef& op, const Attrs& attrs,
                                       std::span<const ValueId> in, std::string name) {
  return graph_.add(op, attrs, in, std::move(name));
}

std::vector<ValueId> GradBuilder::emit(const OpDef& op, const Attrs& attrs,
                                       std::initializer_list<ValueId> in, std::string name) {
  return graph_.add(op, attrs, in, std::move(name));
}

void GradBuilder::emit_into(const OpDef& op, const Attrs& attrs, std::span<const ValueId> in,
                            std::span<const ValueId> out, std::string name) {
  graph_.add_into(op, attrs, in, out, std::move(name));
}

void differentiate(Graph& graph, std::span<const ValueId> loss_terms) {
  GradBuilder builder(graph);
  for (auto id = static_cast<NodeId>(graph.nodes().size()) - 1; id >= 0; --id) {
    const Node node = graph.node(id);  // a copy: the list grows under us
    const bool is_loss = std::ranges::find(loss_terms, node.out[0]) != loss_terms.end();
    const bool has_gradient = std::ranges::any_of(
        node.out, [&](ValueId out) { return builder.gradient(out) != kNoValue; });
    const bool leads_to_parameter =
        std::ranges::any_of(node.in, [&](ValueId in) { return builder.wants(in); });
    if ((!is_loss && !has_gradient) || !leads_to_parameter) continue;
    DIABOLO_CHECK(node.op->grad != nullptr, node.name, " (", node.op->name, ") has no gradient");
    node.op->grad(builder, node);
  }
}

}  // namespace diabolo
