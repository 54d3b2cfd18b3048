// Networks at random: chains of layers with every activation, dropout, residuals, tied weights and
// several losses, for properties of autodiff, fusion, memory plan and executor.
#pragma once

#include <rapidcheck.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "graph/autodiff.h"
#include "graph/parameter_store.h"
#include "ops/add.h"
#include "ops/dense.h"
#include "ops/loss.h"
#include "ops/noise.h"
#include "ops/penalty.h"
#include "ops/training.h"

namespace diabolo {

struct NetLayer {
  int64_t out = 1;
  kernels::Activation activation = kernels::Activation::kIdentity;
  bool has_bias = true;
  bool has_dropout = false;
  bool is_residual = false;  // adds its input, where the widths agree
  bool is_reshaped = false;  // its output gets a third extent
  int tied_to = -1;          // uses the transposed weight of that layer, where the widths agree
};

struct NetSpec {
  int64_t batch = 1, in = 1;
  std::vector<NetLayer> layers;  // the last one carries the loss
  kernels::Loss loss = kernels::Loss::kMse;
  bool has_penalty = false;
  bool has_second_loss = false;  // on the output of the first layer

  int64_t width(size_t layer) const { return layer == 0 ? in : layers[layer - 1].out; }
  bool is_tied(size_t layer) const {
    const int other = layers[layer].tied_to;
    return other >= 0 && static_cast<size_t>(other) < layer &&
           !is_tied(static_cast<size_t>(other)) &&
           width(layer) == layers[static_cast<size_t>(other)].out &&
           layers[layer].out == width(static_cast<size_t>(other));
  }
  std::string weight(size_t layer) const {
    return cat("weight ", is_tied(layer) ? static_cast<size_t>(layers[layer].tied_to) : layer);
  }
};

inline std::ostream& operator<<(std::ostream& out, const NetSpec& net) {
  out << net.batch << "x" << net.in << " " << kernels::name(net.loss)
      << (net.has_penalty ? " penalty" : "") << (net.has_second_loss ? " second" : "");
  for (const NetLayer& layer : net.layers)
    out << " [" << layer.out << " " << kernels::name(layer.activation)
        << (layer.has_bias ? " bias" : "") << (layer.has_dropout ? " dropout" : "")
        << (layer.is_residual ? " residual" : "") << (layer.is_reshaped ? " reshaped" : "")
        << " tied " << layer.tied_to << "]";
  return out;
}

// Few widths, so that residuals and ties find partners.
inline NetSpec random_net() {
  NetSpec net;
  const auto width = rc::gen::element<int64_t>(1, 3, 4, 7);
  net.batch = *rc::gen::inRange(1, 7);
  net.in = *width;
  net.loss = static_cast<kernels::Loss>(*rc::gen::inRange(0, kernels::kLossCount));
  net.has_penalty = *rc::gen::arbitrary<bool>();
  net.has_second_loss = *rc::gen::arbitrary<bool>();
  const int layers = *rc::gen::inRange(1, 6);
  for (int k = 0; k < layers; ++k) {
    NetLayer layer;
    layer.out = *width;
    layer.activation =
        static_cast<kernels::Activation>(*rc::gen::inRange(0, kernels::kActivationCount));
    layer.has_bias = *rc::gen::inRange(0, 4) != 0;
    layer.has_dropout = *rc::gen::inRange(0, 4) == 0;
    layer.is_residual = *rc::gen::arbitrary<bool>();
    layer.is_reshaped = *rc::gen::inRange(0, 3) == 0;
    layer.tied_to = *rc::gen::inRange(-2, 3);
    net.layers.push_back(layer);
  }
  return net;
}

inline std::vector<ParameterSpec> parameters_of(const NetSpec& net) {
  std::vector<ParameterSpec> specs;
  for (size_t k = 0; k < net.layers.size(); ++k) {
    const int64_t in = net.width(k), out = net.layers[k].out;
    if (!net.is_tied(k)) specs.push_back({net.weight(k), {DType::kF32, {in, out}}});
    if (net.layers[k].has_bias) specs.push_back({cat("bias ", k), {DType::kF32, {out}}});
  }
  return specs;
}

// The graph of one gradient: inputs "x", "target" and "second target", outputs "loss" and
// "penalty", "second loss" where there are such.
class NetGraph {
 public:
  NetGraph(const NetSpec& net, DType dtype) : net_(net), dtype_(dtype) {
    const ValueId x = graph_.add_input("x", {dtype, {net.batch, net.in}});
    const int64_t out = net.layers.back().out;
    const ValueId target = graph_.add_input("target", {dtype, {net.batch, out}});
    state_ = graph_.add_state(store_names::kStepState, step_state_desc());
    ValueId h = x;
    for (size_t k = 0; k + 1 < net.layers.size(); ++k) {
      h = layer(k, h);
      if (k == 0 && net.has_second_loss) add_second_loss(h);
    }
    add_loss(h, target);
    if (net.has_penalty) add_penalty();
    differentiate(graph_, losses_);
    for (size_t k = 0; k < losses_.size(); ++k) graph_.mark_output(losses_[k], cat("loss ", k));
  }

  const Graph& graph() const { return graph_; }
  size_t loss_count() const { return losses_.size(); }

 private:
  TensorDesc accum(std::initializer_list<int64_t> extents) const {
    return TensorDesc(dtype_ == DType::kBf16 ? DType::kF32 : dtype_, extents);
  }

  std::vector<ValueId> operands(size_t k, ValueId x) {
    const int64_t in = net_.width(k), out = net_.layers[k].out;
    const TensorDesc weight =
        net_.is_tied(k) ? TensorDesc(dtype_, {out, in}) : TensorDesc(dtype_, {in, out});
    std::vector<ValueId> ids = {x, graph_.add_parameter(net_.weight(k), weight)};
    if (net_.layers[k].has_bias) ids.push_back(graph_.add_parameter(cat("bias ", k), accum({out})));
    return ids;
  }

  ValueId layer(size_t k, ValueId x) {
    const NetLayer& spec = net_.layers[k];
    const DenseForwardAttrs attrs{.activation = spec.activation,
                                  .has_bias = spec.has_bias,
                                  .stores_z = kernels::saves_z(spec.activation),
                                  .weight_transposed = net_.is_tied(k)};
    ValueId h = graph_.add(kDenseForward, attrs, operands(k, x), cat("layer ", k))[0];
    if (spec.is_reshaped) h = graph_.reshape(h, {net_.batch, 1, spec.out});
    if (spec.has_dropout)
      h = graph_.add(kDropout, DropoutAttrs{0.3f, static_cast<uint32_t>(k)}, {h, state_},
                     cat("dropout ", k))[0];
    if (spec.is_residual && net_.width(k) == spec.out)
      h = graph_.add(kAdd, AddAttrs{}, {graph_.reshape(x, graph_.value(h).desc.extents()), h},
                     cat("residual ", k))[0];
    return h;
  }

  void add_loss(ValueId x, ValueId target) {
    const size_t k = net_.layers.size() - 1;
    const DenseLossAttrs attrs{.activation = net_.layers[k].activation,
                               .loss = net_.loss,
                               .scale = 0.7f,
                               .has_bias = net_.layers[k].has_bias,
                               .weight_transposed = net_.is_tied(k)};
    std::vector<ValueId> in = operands(k, x);
    in.push_back(target);
    losses_.push_back(graph_.add(kDenseLoss, attrs, in, "loss")[0]);
  }

  void add_second_loss(ValueId h) {
    const ValueId target =
        graph_.add_input("second target", {dtype_, {net_.batch, net_.layers[0].out}});
    const LossAttrs attrs{.loss = kernels::Loss::kMse, .scale = 0.4f};
    h = graph_.reshape(h, {net_.batch, net_.layers[0].out});
    losses_.push_back(graph_.add(kLoss, attrs, {h, target}, "second loss")[0]);
  }

  void add_penalty() {
    const DType master = dtype_ == DType::kF64 ? DType::kF64 : DType::kF32;
    const TensorDesc desc(master, {net_.in, net_.layers[0].out});
    const ValueId weight = graph_.add_parameter(net_.weight(0), desc);
    losses_.push_back(graph_.add(kL2Penalty, L2PenaltyAttrs{0.05f}, {weight}, "penalty")[0]);
  }

  const NetSpec& net_;
  DType dtype_;
  Graph graph_;
  ValueId state_ = kNoValue;
  std::vector<ValueId> losses_;
};

}  // namespace diabolo
