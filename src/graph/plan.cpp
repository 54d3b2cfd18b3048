#include "graph/plan.h"

#include <algorithm>

#include "base/error.h"
#include "graph/chain.h"
#include "graph/fuse.h"

namespace diabolo {

std::vector<TensorView> shapes_only(const Graph& graph, std::span<const ValueId> ids) {
  std::vector<TensorView> views;
  views.reserve(ids.size());
  for (const ValueId id : ids) views.push_back({graph.value(id).desc, unbound()});
  return views;
}

namespace {

std::vector<TensorDesc> descs_of(const Graph& graph, std::span<const ValueId> ids) {
  std::vector<TensorDesc> descs;
  descs.reserve(ids.size());
  for (const ValueId id : ids) descs.push_back(graph.value(id).desc);
  return descs;
}

// Why the policy or the call rules the kernel out; empty if it may run.
std::string refusal(const Kernel& kernel, const Call& call, const DeviceInfo& device,
                    const Policy& policy) {
  if (policy.reference_only && !kernel.is_reference) return "the policy asks for the reference";
  if (kernel.needs_policy_fast && !policy.fast) return "its rows depend on their batch";
  return kernel.accepts(call, device);
}

[[noreturn]] void fail_without_kernel(const Node& node, const std::vector<Rejection>& rejected) {
  std::string text = cat(node.name, ": no kernel of ", node.op->name, " can run here");
  for (const Rejection& rejection : rejected)
    text += cat("; ", rejection.kernel->name, ": ", rejection.reason);
  throw Error(ErrorCode::kDevice, text);
}

}  // namespace

Plan Plan::compile(const Graph& graph, const DeviceInfo& device, const Policy& policy) {
  Plan plan;
  plan.graph_ = policy.fuse ? diabolo::fuse(graph) : graph;
  plan.device_ = device;
  plan.device_.cuda.allows_tf32 = policy.allows_tf32;
  plan.policy_ = policy;
  if (policy.fuse) plan.graph_ = chain_layers(plan.graph_, plan.device_, policy);
  plan.choose_kernels();
  if (policy.fuse) {
    plan.leave_parts();
    plan.join_steps();
  }
  plan.size_memory();
  plan.lay_out_memory();
  return plan;
}

void Plan::choose_kernels() {
  for (size_t k = 0; k < graph_.nodes().size(); ++k) {
    const Node& node = graph_.nodes()[k];
    const std::vector<TensorView> in = shapes_only(graph_, node.in);
    const std::vector<TensorView> out = shapes_only(graph_, node.out);
    const Call call{node.attrs, in, out};
    Step step{.node = static_cast<NodeId>(k), .kernel = nullptr, .rejected = {}, .cost = {}};
    for (const Kernel& kernel : node.op->kernels) {
      std::string why_not = refusal(kernel, call, device_, policy_);
      if (why_not.empty()) {
        step.kernel = &kernel;
        break;
      }
      step.rejected.push_back({&kernel, std::move(why_not)});
    }
    if (!step.kernel) fail_without_kernel(node, step.rejected);
    step.cost = node.op->cost(node.attrs, descs_of(graph_, node.in), descs_of(graph_, node.out));
    steps_.push_back(std::move(step));
  }
}

namespace {

bool is_in_arena(const Value& value) {
  return value.role == Role::kTemporary || value.role == Role::kOutput;
}

// Steps of one launch run at once.
int time_of(std::span<const Step> steps, int step) {
  return steps[static_cast<size_t>(step)].joins_previous ? step - 1 : step;
}

// The blocks of an arena: each serves one value, or a chain of values that share it in place.
class Blocks {
 public:
  Blocks(const Graph& graph, std::span<const Step> steps)
      : graph_(graph), last_read_(graph.values().size(), -1), block_(graph.values().size(), -1) {
    const int end = static_cast<int>(steps.size());
    for (int k = 0; k < end; ++k) {
      for (const ValueId in : node(steps, k).in) last_read_[root(in)] = time_of(steps, k);
    }
    for (size_t v = 0; v < last_read_.size(); ++v) {
      if (graph.values()[v].role == Role::kOutput) last_read_[root(static_cast<ValueId>(v))] = end;
    }
    for (int k = 0; k < end; ++k) {
      const Step& step = steps[static_cast<size_t>(k)];
      const bool is_joined = step.joins_next || step.joins_previous;
      place(node(steps, k), is_joined ? std::span<const InPlace>{} : step.kernel->in_place,
            time_of(steps, k));
    }
  }

  const std::vector<Lifetime>& lifetimes() const { return lifetimes_; }
  int block_of(ValueId value) const { return block_[root(value)]; }

 private:
  size_t root(ValueId value) const { return static_cast<size_t>(graph_.root(value)); }
  const Node& node(std::span<const Step> steps, int k) const {
    return graph_.node(steps[static_cast<size_t>(k)].node);
  }

  void place(const Node& node, std::span<const InPlace> in_place, int step) {
    for (size_t k = 0; k < node.out.size(); ++k) {
      const ValueId out = node.out[k];
      const Value& value = graph_.value(out);
      if (!is_in_arena(value)) continue;
      const int last = std::max(step, last_read_[root(out)]);
      int block = shared_block(node, in_place, static_cast<int>(k), step);
      if (block < 0) {
        block = static_cast<int>(lifetimes_.size());
        lifetimes_.push_back({value.desc.bytes(), step, last});
      }
      lifetimes_[static_cast<size_t>(block)].last = last;
      block_[root(out)] = block;
    }
  }

  // The block of an input that dies here and that the kernel may overwrite with this output.
  int shared_block(const Node& node, std::span<const InPlace> in_place, int out, int step) const {
    for (const InPlace& pair : in_place) {
      if (pair.out != out) continue;
      const ValueId in = graph_.root(node.in[static_cast<size_t>(pair.in)]);
      const Value& value = graph_.value(in);
      const bool dies_here = last_read_[root(in)] == step;
      const bool is_read_once =
          std::ranges::count_if(node.in, [&](ValueId id) { return graph_.root(id) == in; }) == 1;
      if (value.role == Role::kTemporary && dies_here && is_read_once &&
          value.desc.bytes() == graph_.value(node.out[static_cast<size_t>(out)]).desc.bytes())
        return block_[root(in)];
    }
    return -1;
  }

  const Graph& graph_;
  std::vector<int> last_read_;  // by root: the last step that reads it
  std::vector<int> block_;      // by root
  std::vector<Lifetime> lifetimes_;
};

}  // namespace

void Plan::lay_out_memory() {
  constexpr uint64_t kZeroedAlignment = 256;
  for (Step& step : steps_) {
    step.zeroed_offset = zeroed_bytes_;
    zeroed_bytes_ +=
        (step.zeroed_bytes + kZeroedAlignment - 1) / kZeroedAlignment * kZeroedAlignment;
  }
  const Blocks blocks(graph_, steps_);
  std::vector<Lifetime> lifetimes = blocks.lifetimes();
  const size_t scratch_begin = lifetimes.size();
  for (int k = 0; k < static_cast<int>(steps_.size()); ++k) {
    const Step& step = steps_[static_cast<size_t>(k)];
    const int from = time_of(steps_, k);
    lifetimes.push_back({step.scratch_bytes, from, std::max(from, step.parts_reader)});
  }
  const MemoryPlan memory = plan_memory(lifetimes);
  arena_bytes_ = memory.peak_bytes;
  offsets_.assign(graph_.values().size(), kNotInArena);
  for (size_t v = 0; v < offsets_.size(); ++v) {
    const int block = blocks.block_of(static_cast<ValueId>(v));
    if (block >= 0) offsets_[v] = memory.offsets[static_cast<size_t>(block)];
  }
  for (size_t k = 0; k < steps_.size(); ++k)
    steps_[k].scratch_offset = memory.offsets[scratch_begin + k];
}

}  // namespace diabolo
