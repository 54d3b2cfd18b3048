// Reverse-mode differentiation: appends the gradient nodes to a graph.
#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"

namespace diabolo {

// What an op's `grad` sees. Ops whose output is a loss term have gradient 1 there, implied: they
// have written what their inputs need in the forward pass (dz) or make it from nothing.
class GradBuilder {
 public:
  explicit GradBuilder(Graph& graph);

  const Graph& graph() const { return graph_; }

  // True if a parameter lies behind the value, so that its gradient is wanted.
  bool wants(ValueId value) const;

  // The gradient by this temporary, all contributions added; kNoValue if nothing reached it.
  ValueId gradient(ValueId value) const;

  // A contribution to the gradient by a temporary. A second one is added to the first (op add).
  void contribute(ValueId value, ValueId gradient);

  // Where the gradient by a parameter is to be written, f32, and whether to add to what an earlier
  // node wrote there. Each call counts as one write.
  struct Slot {
    ValueId value;
    bool accumulate;
  };
  Slot slot(ValueId parameter);

  std::vector<ValueId> emit(const OpDef& op, const Attrs& attrs, std::span<const ValueId> in,
                            std::string name);
  std::vector<ValueId> emit(const OpDef& op, const Attrs& attrs, std::initializer_list<ValueId> in,
                            std::string name);
  void emit_into(const OpDef& op, const Attrs& attrs, std::span<const ValueId> in,
                 std::span<const ValueId> out, std::string name);

 private:
  Graph& graph_;
  std::vector<bool> wants_;
  std::vector<ValueId> gradient_;
  std::vector<std::string> written_slots_;
};

// Appends the gradients of the sum of `loss_terms` (each A[1]) by every parameter that they depend
// on. Throws InternalError for an op on the way that has no gradient.
void differentiate(Graph& graph, std::span<const ValueId> loss_terms);

}  // namespace diabolo
