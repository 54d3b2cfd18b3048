// What of a plan's steps goes into one launch, and which sums are left to their reader.
#include <algorithm>

#include "graph/plan.h"
#include "kernels/optimizer.h"

namespace diabolo {
namespace {

// Calls f with the step's call, whose views have shapes only.
template <class F>
auto with_shapes(const Plan& plan, size_t step, F&& f) {
  const Node& node = plan.graph().node(plan.steps()[step].node);
  const std::vector<TensorView> in = shapes_only(plan.graph(), node.in);
  const std::vector<TensorView> out = shapes_only(plan.graph(), node.out);
  return f(plan.call(step, in, out));
}

// How often nodes read or write the value, or one that is it in another shape.
int64_t uses(const Graph& graph, ValueId value) {
  int64_t count = 0;
  for (const Node& node : graph.nodes()) {
    for (const auto* ids : {&node.in, &node.out})
      count += std::ranges::count_if(*ids, [&](ValueId id) { return graph.root(id) == value; });
  }
  return count;
}

// True where the step makes gradients that no other node sees: its reader finds them in the blob.
bool makes_gradients_alone(const Graph& graph, const Node& node) {
  return std::ranges::all_of(node.out, [&](ValueId id) {
    return graph.value(id).role == Role::kGradient && uses(graph, id) == 1;
  });
}

bool reads_what(const Node& second, const Graph& graph, const Node& first) {
  return std::ranges::any_of(second.in, [&](ValueId in) {
    return std::ranges::any_of(first.out,
                               [&](ValueId out) { return graph.root(in) == graph.root(out); });
  });
}

}  // namespace

Call Plan::call(size_t index, std::span<const TensorView> in,
                std::span<const TensorView> out) const {
  const Step& step = steps_[index];
  const Step& first = step.joins_previous ? steps_[index - 1] : step;
  return {.attrs = graph_.node(step.node).attrs,
          .in = in,
          .out = out,
          .is_joined = step.joins_next || step.joins_previous,
          .leaves_parts = first.parts_reader >= 0};
}

// A step that adds parts finds them where its first input, the blob of the gradients, has no other
// reader: nothing is clipped. No kernel takes more than so many.
void Plan::leave_parts() {
  constexpr size_t kMost = kernels::kMaxGradParts;
  const auto reader =
      std::ranges::find_if(steps_, [](const Step& step) { return step.kernel->adds_parts; });
  if (reader == steps_.end() || uses(graph_, graph_.node(reader->node).in[0]) != 1) return;
  size_t outputs = 0;
  for (auto step = steps_.begin(); step != reader; ++step) {
    const Node& node = graph_.node(step->node);
    if (!step->kernel->parts || !makes_gradients_alone(graph_, node)) continue;
    outputs += node.out.size();
    if (outputs > kMost) return;
    step->parts_reader = static_cast<int>(reader - steps_.begin());
  }
}

void Plan::join_steps() {
  for (size_t k = 0; k + 1 < steps_.size(); ++k) {
    Step& first = steps_[k];
    Step& second = steps_[k + 1];
    const Join* join = second.kernel->join;
    if (!join || join->first != first.kernel || first.joins_previous) continue;
    const Node& before = graph_.node(first.node);
    if (!join->is_ordered && reads_what(graph_.node(second.node), graph_, before)) continue;
    const bool pays = with_shapes(*this, k, [&](const Call& a) {
      return with_shapes(*this, k + 1, [&](const Call& b) { return join->pays(a, b, device_); });
    });
    first.joins_next = second.joins_previous = pays;
  }
}

void Plan::size_memory() {
  for (size_t k = 0; k < steps_.size(); ++k) {
    Step& step = steps_[k];
    const Kernel& kernel = *step.kernel;
    with_shapes(*this, k, [&](const Call& call) {
      step.scratch_bytes = kernel.scratch_bytes(call, device_);
      if (kernel.zeroed_bytes) step.zeroed_bytes = kernel.zeroed_bytes(call, device_);
      if (step.joins_previous) step.zeroed_bytes = kernel.join->zeroed_bytes;
    });
  }
}

}  // namespace diabolo
