// A graph: values and the nodes that make them, in an order that can be executed. It knows shapes
// and names but no device and no address.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "base/tensor.h"
#include "ops/grad_builder.h"

namespace diabolo {

using NodeId = int32_t;
inline constexpr NodeId kNoNode = -1;

enum class Role : uint8_t {
  kInput,      // bound by whoever runs the plan: a slot, a data set
  kParameter,  // lives in the ParameterStore, by name; f32 is the master, bf16 its low copy
  kGradient,   // of the parameter of the same name; f32
  kState,      // lives in the store and may be written by a node: moments, step state; without an
               // @ in front it is the model's, and only update_state writes it, behind the loss
  kTemporary,  // lives in the arena for as long as somebody reads it
  kOutput,     // lives in the arena until the end of the run; read by name
};
const char* name(Role role);

struct Value {
  TensorDesc desc;
  std::string name;
  Role role;
  NodeId producer = kNoNode;    // the (last) node that writes it
  ValueId alias_of = kNoValue;  // the value of another shape whose memory, life and gradient it has
};

// Append-only, so topological by construction: a node reads only what stands before it. A temporary
// or output has exactly one writer; parameters, gradients and state may be written several times,
// in the order of the list.
class Graph {
 public:
  ValueId add_input(std::string name, const TensorDesc& desc);
  ValueId add_parameter(std::string name, const TensorDesc& desc);
  ValueId add_state(std::string name, const TensorDesc& desc);
  ValueId add_gradient(std::string parameter,
                       const TensorDesc& desc);  // the same one if it is there

  // Appends a node; returns its outputs, new temporaries named after the node. Throws what infer
  // throws, with the node's name in front.
  std::vector<ValueId> add(const OpDef& op, const Attrs& attrs, std::span<const ValueId> in,
                           std::string name);
  std::vector<ValueId> add(const OpDef& op, const Attrs& attrs, std::initializer_list<ValueId> in,
                           std::string name);

  // The same, writing into values that exist (gradients, state), whose shapes must be what infer
  // says; kNoValue stands for a new temporary. Returns the outputs.
  std::vector<ValueId> add_into(const OpDef& op, const Attrs& attrs, std::span<const ValueId> in,
                                std::span<const ValueId> out, std::string name);

  // The value under other extents of as many elements: the same memory, no node, no copy. Itself,
  // if the extents are its own; an alias of an alias is one of the first value, or is that. Throws
  // Error{kUsage} if the elements differ in number.
  ValueId reshape(ValueId value, std::span<const int64_t> extents);
  ValueId reshape(ValueId value, std::initializer_list<int64_t> extents);
  // What the value is an alias of; itself if it is none.
  ValueId root(ValueId value) const;

  // Makes a temporary an output, readable by `name` after a run.
  void mark_output(ValueId value, std::string name);

  const Value& value(ValueId id) const;
  const Node& node(NodeId id) const;
  std::span<const Value> values() const { return values_; }
  std::span<const Node> nodes() const { return nodes_; }
  ValueId find(std::string_view name, Role role) const;  // kNoValue if there is none

  // Rewrites (graph/fuse.cpp) build a new graph from the old one's values; see fuse.h.
  Graph with_nodes(std::vector<Node> nodes) const;

 private:
  ValueId add_value(Value value);
  std::vector<ValueId> append(const OpDef& op, const Attrs& attrs, std::span<const ValueId> in,
                              std::span<const TensorDesc> descs, std::vector<ValueId> out,
                              std::string name);
  std::vector<TensorDesc> infer(const OpDef& op, const Attrs& attrs, std::span<const ValueId> in,
                                const std::string& node) const;

  std::vector<Value> values_;
  std::vector<Node> nodes_;
};

}  // namespace diabolo
