// What an op's `grad` sees: the node to differentiate, and a builder that takes the nodes of its
// gradient. Graphs are made of these nodes; graph/autodiff.cpp is the builder.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "ops/op.h"

namespace diabolo {

using ValueId = int32_t;
inline constexpr ValueId kNoValue = -1;

// One use of an op in a graph.
struct Node {
  const OpDef* op;
  Attrs attrs;
  std::vector<ValueId> in;
  std::vector<ValueId> out;
  std::string name;  // "encoder.0", "encoder.0 weight gradient": where in the model it belongs
};

// Ops whose output is a loss term have gradient 1 there, implied: they have written what their
// inputs need in the forward pass (dz) or make it from nothing.
class GradBuilder {
 public:
  virtual ~GradBuilder() = default;

  virtual TensorDesc desc(ValueId value) const = 0;

  // True if a parameter lies behind the value, so that its gradient is wanted.
  virtual bool wants(ValueId value) const = 0;

  // The gradient by this temporary, all contributions added, in its shape; kNoValue if nothing
  // reached it.
  virtual ValueId gradient(ValueId value) const = 0;

  // A contribution to the gradient by a temporary, of as many elements. A second one is added to
  // the first (op add).
  virtual void contribute(ValueId value, ValueId gradient) = 0;

  // Where the gradient by a parameter is to be written, f32, and whether to add to what an earlier
  // node wrote there. Each call counts as one write.
  struct Slot {
    ValueId value;
    bool accumulate;
  };
  virtual Slot slot(ValueId parameter) = 0;

  // Appends a node whose outputs are new temporaries, and returns them.
  virtual std::vector<ValueId> emit(const OpDef& op, const Attrs& attrs,
                                    std::initializer_list<ValueId> in, std::string name) = 0;

  // Appends a node that writes into values that exist, slots, and where `out` has kNoValue into new
  // temporaries; returns its outputs.
  virtual std::vector<ValueId> emit_into(const OpDef& op, const Attrs& attrs,
                                         std::span<const ValueId> in, std::span<const ValueId> out,
                                         std::string name) = 0;
};

}  // namespace diabolo
