#include "graph/graph.h"

#include <algorithm>

#include "base/error.h"
#include "ops/update_state.h"

namespace diabolo {

const char* name(Role role) {
  constexpr const char* kNames[] = {"input", "parameter", "gradient",
                                    "state", "temporary", "output"};
  return kNames[static_cast<int>(role)];
}

ValueId Graph::add_value(Value value) {
  values_.push_back(std::move(value));
  return static_cast<ValueId>(values_.size() - 1);
}

ValueId Graph::add_input(std::string name, const TensorDesc& desc) {
  return add_value({desc, std::move(name), Role::kInput});
}

ValueId Graph::add_parameter(std::string name, const TensorDesc& desc) {
  return add_value({desc, std::move(name), Role::kParameter});
}

ValueId Graph::add_state(std::string name, const TensorDesc& desc) {
  return add_value({desc, std::move(name), Role::kState});
}

ValueId Graph::add_gradient(std::string parameter, const TensorDesc& desc) {
  const ValueId known = find(parameter, Role::kGradient);
  if (known != kNoValue) {
    DIABOLO_CHECK(value(known).desc == desc, parameter, " ", desc.text());
    return known;
  }
  return add_value({desc, std::move(parameter), Role::kGradient});
}

std::vector<TensorDesc> Graph::infer(const OpDef& op, const Attrs& attrs,
                                     std::span<const ValueId> in, const std::string& node) const {
  std::vector<TensorDesc> descs;
  descs.reserve(in.size());
  for (const ValueId id : in) descs.push_back(value(id).desc);
  try {
    return op.infer(attrs, descs);
  } catch (const Error& error) {
    throw Error(error.code(), cat(node, " (", op.name, "): ", error.what()));
  }
}

std::vector<ValueId> Graph::add(const OpDef& op, const Attrs& attrs, std::span<const ValueId> in,
                                std::string name) {
  const std::vector<TensorDesc> descs = infer(op, attrs, in, name);
  const std::vector<ValueId> fresh(descs.size(), kNoValue);
  return append(op, attrs, in, descs, fresh, std::move(name));
}

std::vector<ValueId> Graph::add(const OpDef& op, const Attrs& attrs,
                                std::initializer_list<ValueId> in, std::string name) {
  return add(op, attrs, std::span<const ValueId>(in.begin(), in.size()), std::move(name));
}

std::vector<ValueId> Graph::add_into(const OpDef& op, const Attrs& attrs,
                                     std::span<const ValueId> in, std::span<const ValueId> out,
                                     std::string name) {
  const std::vector<TensorDesc> descs = infer(op, attrs, in, name);
  DIABOLO_CHECK(descs.size() == out.size(), name, ": ", descs.size(), " outputs");
  return append(op, attrs, in, descs, {out.begin(), out.end()}, std::move(name));
}

std::vector<ValueId> Graph::append(const OpDef& op, const Attrs& attrs, std::span<const ValueId> in,
                                   std::span<const TensorDesc> descs, std::vector<ValueId> out,
                                   std::string name) {
  const auto producer = static_cast<NodeId>(nodes_.size());
  for (size_t k = 0; k < out.size(); ++k) {
    if (out[k] == kNoValue) {
      const std::string suffix = k == 0 ? "" : cat(" #", k);
      out[k] = add_value({descs[k], name + suffix, Role::kTemporary, producer});
      continue;
    }
    const Value& target = value(out[k]);
    DIABOLO_CHECK(target.desc == descs[k], name, ": writes ", descs[k].text(), " into ",
                  target.name, " ", target.desc.text());
    DIABOLO_CHECK(target.role == Role::kGradient || target.role == Role::kState ||
                      target.role == Role::kParameter,
                  name, ": writes a second time into ", target.name);
    DIABOLO_CHECK(
        target.role != Role::kState || target.name.starts_with('@') || &op == &kUpdateState, name,
        ": state of the model changes by update_state alone: ", target.name);
    values_[static_cast<size_t>(root(out[k]))].producer = producer;
  }
  nodes_.push_back({&op, attrs, {in.begin(), in.end()}, out, std::move(name)});
  return out;
}

ValueId Graph::reshape(ValueId id, std::span<const int64_t> extents) {
  const Value& from = value(root(id));
  const TensorDesc desc(from.desc.dtype(), extents);
  if (desc == value(id).desc) return id;
  if (desc == from.desc) return root(id);
  if (desc.elems() != from.desc.elems())
    throw Error(ErrorCode::kUsage, cat(from.name, ": expected as many elements as ",
                                       from.desc.text(), ", found ", desc.text()));
  // Of an output, the first value is the one that is read by name.
  const Role role = from.role == Role::kOutput ? Role::kTemporary : from.role;
  return add_value({desc, from.name, role, kNoNode, root(id)});
}

ValueId Graph::reshape(ValueId id, std::initializer_list<int64_t> extents) {
  return reshape(id, std::span<const int64_t>(extents.begin(), extents.size()));
}

ValueId Graph::root(ValueId id) const {
  const ValueId alias_of = value(id).alias_of;
  return alias_of == kNoValue ? id : alias_of;
}

void Graph::mark_output(ValueId id, std::string name) {
  DIABOLO_CHECK(value(id).role == Role::kTemporary, value(id).name, " is no temporary");
  Value& target = values_[static_cast<size_t>(id)];
  target.role = Role::kOutput;
  target.name = std::move(name);
}

const Value& Graph::value(ValueId id) const {
  DIABOLO_CHECK(id >= 0 && static_cast<size_t>(id) < values_.size(), id);
  return values_[static_cast<size_t>(id)];
}

const Node& Graph::node(NodeId id) const {
  DIABOLO_CHECK(id >= 0 && static_cast<size_t>(id) < nodes_.size(), id);
  return nodes_[static_cast<size_t>(id)];
}

ValueId Graph::find(std::string_view name, Role role) const {
  const auto found = std::ranges::find_if(
      values_, [&](const Value& value) { return value.role == role && value.name == name; });
  return found == values_.end() ? kNoValue : static_cast<ValueId>(found - values_.begin());
}

Graph Graph::with_nodes(std::vector<Node> nodes) const {
  Graph graph;
  graph.values_ = values_;
  graph.nodes_ = std::move(nodes);
  for (Value& value : graph.values_) value.producer = kNoNode;
  for (size_t k = 0; k < graph.nodes_.size(); ++k) {
    for (const ValueId out : graph.nodes_[k].out)
      graph.values_[static_cast<size_t>(root(out))].producer = static_cast<NodeId>(k);
  }
  return graph;
}

}  // namespace diabolo
