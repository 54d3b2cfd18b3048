// differentiate() on random networks: the gradients that the whole graph computes, in double with
// the reference kernels, against the central difference of its loss.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "graph/fuse.h"
#include "graph/random_net.h"
#include "ops/activation_grad.h"
#include "ops/weigh_term.h"

namespace diabolo {
namespace {

// Runs a graph of f64 node by node with the reference kernels, each value in memory of its own.
class HostRun {
 public:
  explicit HostRun(const Graph& graph) : graph_(graph) {
    for (const Value& value : graph.values()) {
      const std::string key = value.role == Role::kGradient ? "d " + value.name : value.name;
      const bool is_named = value.role != Role::kTemporary && value.role != Role::kOutput;
      const bool is_alias = value.alias_of != kNoValue;
      const std::string place = is_alias   ? places_[static_cast<size_t>(value.alias_of)]
                                : is_named ? key
                                           : cat("value ", views_.size());
      auto& bytes = memory_[place];
      bytes.resize(std::max<uint64_t>(bytes.size(), value.desc.bytes()));
      views_.push_back({value.desc, nullptr});
      places_.push_back(place);
    }
    for (size_t k = 0; k < views_.size(); ++k) views_[k].data = memory_[places_[k]].data();
    if (!has(store_names::kStepState)) return;
    auto* state = reinterpret_cast<kernels::StepState*>(memory_[store_names::kStepState].data());
    state->seed = 5;
    state->step = 2;
  }

  double* values(const std::string& name) {
    return reinterpret_cast<double*>(memory_.at(name).data());
  }
  size_t count(const std::string& name) const { return memory_.at(name).size() / sizeof(double); }
  bool has(const std::string& name) const { return memory_.count(name) > 0; }

  void run() {
    static const DeviceInfo device = *device_from_name("cpu");
    for (const Node& node : graph_.nodes()) {
      std::vector<TensorView> in, out;
      for (const ValueId id : node.in) in.push_back(views_[static_cast<size_t>(id)]);
      for (const ValueId id : node.out) out.push_back(views_[static_cast<size_t>(id)]);
      const Kernel& reference = node.op->kernels.back();
      ASSERT_TRUE(reference.is_reference) << node.op->name;
      reference.prepare({node.attrs, in, out}, device, nullptr)(nullptr);
    }
  }

  // The sum of the outputs, all of which are losses.
  double loss() {
    run();
    double sum = 0;
    for (size_t k = 0; k < views_.size(); ++k)
      if (graph_.values()[k].role == Role::kOutput) sum += *views_[k].as<double>();
    return sum;
  }

 private:
  const Graph& graph_;
  std::map<std::string, std::vector<std::byte>> memory_;
  std::vector<TensorView> views_;
  std::vector<std::string> places_;
};

void fill(HostRun& run, const std::string& name, uint32_t purpose) {
  for (size_t k = 0; k < run.count(name); ++k)
    run.values(name)[k] = 0.8 * kernels::normal_at({17, purpose, 0}, 0, k);
}

void fill_inputs(HostRun& run, const NetSpec& net) {
  fill(run, "x", 1);
  fill(run, "target", 2);
  if (run.has("second target")) fill(run, "second target", 3);
  uint32_t purpose = 10;
  for (const ParameterSpec& spec : parameters_of(net)) fill(run, spec.name, purpose++);
}

// Differences of second order at two widths. Where they disagree a kink (relu, L1, Huber) lies
// between, and there is nothing to compare with.
std::optional<double> central_difference(HostRun& run, double& at) {
  const double here = at;
  const auto slope = [&](double step) {
    at = here + step;
    const double above = run.loss();
    at = here - step;
    const double below = run.loss();
    at = here;
    return (above - below) / (2 * step);
  };
  const double wide = slope(2e-5), narrow = slope(1e-5);
  if (std::fabs(wide - narrow) > 1e-7 * std::max(1.0, std::fabs(narrow))) return std::nullopt;
  return narrow;
}

// What is wrong with the net's gradients; empty if nothing.
std::string wrong_gradient(const NetSpec& net) {
  const NetGraph differentiated(net, DType::kF64);
  HostRun run(differentiated.graph());
  fill_inputs(run, net);
  run.run();
  std::map<std::string, std::vector<double>> gradients;  // copies: the runs below write them anew
  for (const ParameterSpec& spec : parameters_of(net)) {
    const std::string name = "d " + spec.name;
    gradients[spec.name].assign(run.values(name), run.values(name) + run.count(name));
  }
  int compared = 0, elements = 0;
  for (const auto& [name, expected] : gradients) {
    for (size_t k = 0; k < expected.size(); ++k) {
      ++elements;
      const auto slope = central_difference(run, run.values(name)[k]);
      if (!slope) continue;
      ++compared;
      // Rounding of the difference: 1e-16 / 1e-5; its truncation: 1e-10 times third derivatives.
      if (std::fabs(*slope - expected[k]) > 1e-7 * std::max(1.0, std::fabs(*slope)))
        return cat(name, " element ", k, ": ", expected[k], ", slope ", *slope);
    }
  }
  return compared * 2 < elements ? cat("kinks in all but ", compared, " of ", elements) : "";
}

TEST(Gradient, OfRandomNetsIsTheSlopeOfTheirLoss) {
  EXPECT_TRUE(rc::check("gradient = slope", [] {
    const NetSpec net = random_net();
    RC_LOG() << net;
    RC_ASSERT(wrong_gradient(net) == "");
  }));
}

// What random nets may miss by chance, always.
TEST(Gradient, OfATiedResidualNetWithThreeLosses) {
  NetSpec net;
  net.batch = 3;
  net.in = 4;
  net.has_penalty = net.has_second_loss = true;
  using kernels::Activation;
  net.layers = {{3, Activation::kGelu},
                {3, Activation::kTanh, true, true, true, true},
                {4, Activation::kSilu, true, false, false, false, 0}};
  EXPECT_EQ(wrong_gradient(net), "");
}

// No net of this version shares a bias; a graph may.
TEST(Gradient, OfLayersThatShareWeightAndBias) {
  Graph graph;
  const TensorDesc rows(DType::kF64, {2, 3});
  const ValueId x = graph.add_input("x", rows), target = graph.add_input("target", rows);
  const ValueId weight = graph.add_parameter("weight", TensorDesc(DType::kF64, {3, 3}));
  const ValueId bias = graph.add_parameter("bias", TensorDesc(DType::kF64, {3}));
  const DenseForwardAttrs attrs{.activation = kernels::Activation::kTanh};
  const ValueId h = graph.add(kDenseForward, attrs, {x, weight, bias}, "first")[0];
  const ValueId y = graph.add(kDenseForward, attrs, {h, weight, bias}, "second")[0];
  const std::vector<ValueId> loss = graph.add(kLoss, LossAttrs{}, {y, target}, "loss");
  differentiate(graph, std::span(loss).first(1));
  graph.mark_output(loss[0], "loss");
  HostRun run(graph);
  uint32_t purpose = 1;
  for (const char* name : {"x", "target", "weight", "bias"}) fill(run, name, purpose++);
  for (const std::string name : {"weight", "bias"}) {
    run.run();
    const std::vector<double> found(run.values("d " + name),
                                    run.values("d " + name) + run.count(name));
    for (size_t k = 0; k < found.size(); ++k) {
      const auto slope = central_difference(run, run.values(name)[k]);
      ASSERT_TRUE(slope.has_value());
      EXPECT_NEAR(found[k], *slope, 1e-7) << name << " element " << k;
    }
  }
}

TEST(Gradient, FusionChangesNoBit) {
  int fused_nodes = 0;
  EXPECT_TRUE(rc::check("fused = unfused", [&] {
    const NetSpec net = random_net();
    RC_LOG() << net;
    const NetGraph plain(net, DType::kF64);
    const Graph fused = fuse(plain.graph());
    fused_nodes += static_cast<int>(plain.graph().nodes().size() - fused.nodes().size());
    HostRun a(plain.graph()), b(fused);
    fill_inputs(a, net);
    fill_inputs(b, net);
    RC_ASSERT(a.loss() == b.loss());
    for (const ParameterSpec& spec : parameters_of(net)) {
      const std::string name = "d " + spec.name;
      for (size_t k = 0; k < a.count(name); ++k) RC_ASSERT(a.values(name)[k] == b.values(name)[k]);
    }
  }));
  EXPECT_GT(fused_nodes, 20) << "hardly anything was fused, so hardly anything was tested";
}

// A linear layer and its loss; a penalty of the weight.
struct Losses {
  Graph graph;
  ValueId loss, penalty;

  Losses() {
    const TensorDesc rows(DType::kF64, {2, 3});
    const ValueId x = graph.add_input("x", rows), target = graph.add_input("target", rows);
    const ValueId weight = graph.add_parameter("weight", TensorDesc(DType::kF64, {3, 3}));
    const DenseForwardAttrs attrs{.has_bias = false};
    const ValueId y = graph.add(kDenseForward, attrs, {x, weight}, "layer")[0];
    loss = graph.add(kLoss, LossAttrs{}, {y, target}, "loss")[0];
    penalty = graph.add(kL2Penalty, L2PenaltyAttrs{0.05f}, {weight}, "penalty")[0];
  }
  ValueId sum() { return graph.add(kSumTerms, SumTermsAttrs{}, {loss, penalty}, "sum")[0]; }
  ValueId weighed(ValueId raw) {
    return graph.add(kWeighTerm, WeighTermAttrs{0.5f}, {raw}, "weighed")[0];
  }
  std::string refusal(const std::vector<ValueId>& parts) {
    try {
      differentiate(graph, parts);
    } catch (const InternalError& error) {
      return error.what();
    }
    return "";
  }
};

// The gradient 1 of a part of the loss is implied. Where another would be the right one, nothing is
// left out in silence.
TEST(Gradient, OfAPartOfTheLossIsOneOrIsRefused) {
  const auto has = [](const std::string& text, const char* part) {
    return text.find(part) != text.npos;
  };
  EXPECT_EQ(Losses().refusal({}), "");
  Losses parts;
  EXPECT_EQ(parts.refusal({parts.loss, parts.weighed(parts.penalty)}), "");
  Losses summed;
  EXPECT_TRUE(has(summed.refusal({summed.sum()}), "sum is a sum"));
  Losses weighed;  // the loss, by a sum: it has made its gradient already
  EXPECT_TRUE(has(weighed.refusal({weighed.weighed(weighed.sum())}), "loss (loss) has"));
  Losses twice;
  EXPECT_TRUE(has(twice.refusal({twice.weighed(twice.weighed(twice.penalty))}), "weighed (weigh"));
  Losses both;
  EXPECT_TRUE(has(both.refusal({both.penalty, both.weighed(both.penalty)}), "read by another"));
}

// The test can fail: a gradient without the derivative of an activation is seen.
TEST(Gradient, SeesAMissingNode) {
  NetSpec net;
  net.batch = 2;
  net.in = 3;
  net.layers = {{3, kernels::Activation::kTanh}, {3, kernels::Activation::kIdentity}};
  const NetGraph whole(net, DType::kF64);
  std::vector<Node> nodes;
  for (const Node& node : whole.graph().nodes())
    if (node.op != &kActivationGrad) nodes.push_back(node);
  ASSERT_EQ(nodes.size() + 1, whole.graph().nodes().size());
  const Graph broken = whole.graph().with_nodes(nodes);
  HostRun right(whole.graph()), wrong(broken);
  fill_inputs(right, net);
  fill_inputs(wrong, net);
  right.run();
  wrong.run();
  double distance = 0;
  for (size_t k = 0; k < right.count("d weight 0"); ++k)
    distance += std::fabs(right.values("d weight 0")[k] - wrong.values("d weight 0")[k]);
  EXPECT_GT(distance, 1e-3);
}

}  // namespace
}  // namespace diabolo
