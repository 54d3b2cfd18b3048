// A plan: a graph with kernels chosen and memory laid out for one device. Immutable; everything
// that a run needs is decided here, before the first launch, and can be printed (dump.h).
#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"
#include "graph/memory_plan.h"

namespace diabolo {

struct Policy {
  bool fast = false;            // allow kernels whose rows depend on their batch
  bool fuse = true;             // apply the rewrite rules
  bool reference_only = false;  // the plain loops, for checking
  bool allows_tf32 = false;     // products of f32 on CUDA may round operands to tf32
};

struct Rejection {
  const Kernel* kernel;
  std::string reason;
};

// Views of values while they have no addresses.
std::vector<TensorView> shapes_only(const Graph& graph, std::span<const ValueId> ids);

struct Step {
  NodeId node;
  const Kernel* kernel;
  std::vector<Rejection> rejected;  // those before it in the op's list, and why
  uint64_t scratch_bytes = 0;
  uint64_t scratch_offset = 0;  // in the arena
  uint64_t zeroed_bytes = 0;
  uint64_t zeroed_offset = 0;  // among the zeroed bytes of the plan
  bool joins_next = false;     // one launch does this step and the next (Kernel::join)
  bool joins_previous = false;
  int parts_reader = -1;  // the step that adds up what this one leaves (Kernel::parts)
  Cost cost;
};

class Plan {
 public:
  // Throws Error{kDevice} if some node has no kernel on that device, with every reason; there is no
  // silent fallback between devices.
  static Plan compile(const Graph& graph, const DeviceInfo& device, const Policy& policy);

  const Graph& graph() const { return graph_; }
  const DeviceInfo& device() const { return device_; }
  const Policy& policy() const { return policy_; }
  std::span<const Step> steps() const { return steps_; }
  // A step's use of its op, of views in its node's order.
  Call call(size_t step, std::span<const TensorView> in, std::span<const TensorView> out) const;
  uint64_t arena_bytes() const { return arena_bytes_; }
  // What steps find zeroed and leave zeroed (Kernel::zeroed_bytes). No other plan may use it: apart
  // from the arena.
  uint64_t zeroed_bytes() const { return zeroed_bytes_; }
  // Offset in the arena of a temporary or output; kNotInArena for other roles.
  static constexpr uint64_t kNotInArena = ~uint64_t{0};
  uint64_t offset(ValueId value) const { return offsets_[static_cast<size_t>(value)]; }

 private:
  Plan() = default;
  void choose_kernels();
  void leave_parts();
  void join_steps();
  void size_memory();
  void lay_out_memory();

  Graph graph_;
  DeviceInfo device_;
  Policy policy_;
  std::vector<Step> steps_;
  std::vector<uint64_t> offsets_;
  uint64_t arena_bytes_ = 0;
  uint64_t zeroed_bytes_ = 0;
};

}  // namespace diabolo
