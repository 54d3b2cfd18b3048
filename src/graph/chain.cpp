#include "graph/chain.h"

#include <algorithm>

#include "graph/fuse.h"
#include "ops/dense.h"
#include "ops/dense_chain.h"

namespace diabolo {
namespace {

// Dense nodes, each the only reader of the one before it.
using Run = std::vector<size_t>;

class Chains {
 public:
  Chains(const Graph& graph, const DeviceInfo& device, const Policy& policy)
      : graph_(graph),
        device_(device),
        policy_(policy),
        nodes_(graph.nodes().begin(), graph.nodes().end()) {}

  std::vector<Node> join() {
    while (join_one()) {
    }
    return std::move(nodes_);
  }

 private:
  // The first stretch of a run that may be joined, longer ones first.
  bool join_one() {
    for (size_t first = 0; first < nodes_.size(); ++first) {
      if (!is_link(nodes_[first])) continue;
      Run run = run_from(first);
      for (; run.size() >= 2; run.pop_back()) {
        Node joined = joined_of(run);
        if (is_changed_within(run) || !runs_and_pays(joined)) continue;
        nodes_[run.back()] = std::move(joined);
        for (size_t k = run.size() - 1; k-- > 0;)
          nodes_.erase(nodes_.begin() + static_cast<std::ptrdiff_t>(run[k]));
        return true;
      }
    }
    return false;
  }

  Run run_from(size_t first) const {
    Run run = {first};
    while (run.size() < static_cast<size_t>(kernels::kMostChained)) {
      const size_t next = only_reader(nodes_[run.back()].out[0]);
      if (next == nodes_.size() || nodes_[next].in[0] != nodes_[run.back()].out[0]) break;
      if (!is_link(nodes_[next]) && nodes_[next].op != &kDenseScore) break;
      run.push_back(next);
      if (nodes_[next].op == &kDenseScore) break;
    }
    return run;
  }

  bool is_link(const Node& node) const {
    return node.op == &kDenseForward && !node.attrs.as<DenseForwardAttrs>().stores_z &&
           !is_of_library(node);
  }

  // The node that alone reads a temporary, once and in its own shape; the number of nodes if there
  // is none such.
  size_t only_reader(ValueId value) const {
    if (graph_.value(value).role != Role::kTemporary || readers(nodes_, graph_, value) != 1)
      return nodes_.size();
    const auto reader = std::ranges::find_if(
        nodes_, [&](const Node& node) { return std::ranges::count(node.in, value) > 0; });
    return static_cast<size_t>(reader - nodes_.begin());
  }

  // A chain runs where its last layer stood: what the others read must be the same there.
  bool is_changed_within(const Run& run) const {
    for (size_t k = run.front(); k < run.back(); ++k) {
      for (const ValueId written : nodes_[k].out) {
        const bool is_read = std::ranges::any_of(run, [&](size_t layer) {
          return layer < k && std::ranges::any_of(nodes_[layer].in, [&](ValueId in) {
                   return graph_.root(in) == graph_.root(written);
                 });
        });
        if (is_read) return true;
      }
    }
    return false;
  }

  Node joined_of(const Run& run) const {
    const Node& last = nodes_[run.back()];
    DenseChainAttrs attrs;
    std::vector<ValueId> in = {nodes_[run.front()].in[0]};
    for (const size_t k : run) {
      const Node& node = nodes_[k];
      attrs.layer[attrs.layers++] = layer_of(node);
      in.insert(in.end(), node.in.begin() + 1, node.in.end());  // a score's target comes last
    }
    attrs.scores = last.op == &kDenseScore;
    const std::string name = cat(nodes_[run.front()].name, " to ", last.name);
    return {&kDenseChain, attrs, std::move(in), {last.out[0]}, name};
  }

  static DenseChainAttrs::Layer layer_of(const Node& node) {
    const auto made = [](kernels::Activation activation, bool has_bias, bool transposed) {
      return DenseChainAttrs::Layer{activation, has_bias, transposed};
    };
    if (node.op == &kDenseScore) {
      const auto attrs = node.attrs.as<DenseScoreAttrs>();
      return made(attrs.activation, attrs.has_bias, attrs.weight_transposed);
    }
    const auto attrs = node.attrs.as<DenseForwardAttrs>();
    return made(attrs.activation, attrs.has_bias, attrs.weight_transposed);
  }

  // Calls f(the node as a call), without addresses.
  template <class F>
  bool as_call(const Node& node, F&& f) const {
    std::vector<TensorView> in, out;
    for (const ValueId id : node.in) in.push_back({graph_.value(id).desc, unbound()});
    for (const ValueId id : node.out) out.push_back({graph_.value(id).desc, unbound()});
    return f(Call{node.attrs, in, out});
  }

  // True where the plan will take a kernel that only policy `fast` allows.
  bool is_of_library(const Node& node) const {
    return policy_.fast && as_call(node, [&](const Call& call) {
             return std::ranges::any_of(node.op->kernels, [&](const Kernel& kernel) {
               return kernel.needs_policy_fast && kernel.accepts(call, device_).empty();
             });
           });
  }

  bool runs_and_pays(const Node& node) const {
    return as_call(node, [&](const Call& call) {
      const auto accepts = [&](const Kernel& kernel) {
        return !kernel.is_reference && kernel.accepts(call, device_).empty();
      };
      return std::ranges::any_of(node.op->kernels, accepts) && chain_pays(call, device_);
    });
  }

  const Graph& graph_;
  const DeviceInfo& device_;
  const Policy& policy_;
  std::vector<Node> nodes_;
};

}  // namespace

Graph chain_layers(const Graph& graph, const DeviceInfo& device, const Policy& policy) {
  if (device.space != Space::kCuda) return graph;
  return graph.with_nodes(Chains(graph, device, policy).join());
}

}  // namespace diabolo
