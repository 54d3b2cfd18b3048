// A whole training step, from a graph to a replayed plan: it learns, capture changes no bit, fusion
// changes no bit of the reference, and a loss that is not finite changes no parameter.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "graph/autodiff.h"
#include "graph/dump.h"
#include "graph/executor.h"
#include "graph/fuse.h"
#include "ops/activation_grad.h"
#include "ops/add.h"
#include "ops/dense.h"
#include "ops/gather.h"
#include "ops/loss.h"
#include "ops/noise.h"
#include "ops/penalty.h"
#include "ops/row_score.h"
#include "ops/training.h"

namespace diabolo {
namespace {

constexpr int64_t kRows = 24;
constexpr int64_t kBatch = 8;
constexpr int64_t kWide = 10;
constexpr int64_t kCode = 3;

struct Net {
  DType dtype = DType::kF32;
  kernels::Activation hidden = kernels::Activation::kSilu;
  bool is_tied = false;

  std::vector<ParameterSpec> parameters() const {
    std::vector<ParameterSpec> specs = {{"encoder.weight", {DType::kF32, {kWide, kCode}}},
                                        {"encoder.bias", {DType::kF32, {kCode}}},
                                        {"decoder.bias", {DType::kF32, {kWide}}}};
    if (!is_tied) specs.push_back({"decoder.weight", {DType::kF32, {kCode, kWide}}});
    return specs;
  }

  Graph graph(const TensorDesc& blob) const {
    Graph g;
    const ValueId source = g.add_input("data", {DType::kF32, {kRows, kWide}});
    const ValueId order = g.add_input("order", {DType::kU32, {kRows}});
    const ValueId shift = g.add_input("shift", {DType::kF32, {kWide}});
    const ValueId scale = g.add_input("scale", {DType::kF32, {kWide}});
    const ValueId state = g.add_state(store_names::kStepState, step_state_desc());
    const ValueId x = g.add(kGather, GatherAttrs{kBatch, true, dtype},
                            {source, shift, scale, order, state}, "batch")[0];
    const ValueId w1 = g.add_parameter("encoder.weight", {dtype, {kWide, kCode}});
    const ValueId b1 = g.add_parameter("encoder.bias", {DType::kF32, {kCode}});
    const ValueId b2 = g.add_parameter("decoder.bias", {DType::kF32, {kWide}});
    const DenseForwardAttrs encode{.activation = hidden, .stores_z = kernels::saves_z(hidden)};
    const ValueId code = g.add(kDenseForward, encode, {x, w1, b1}, "encoder")[0];
    const ValueId noisy = g.add(kDropout, DropoutAttrs{0.1f, 0}, {code, state}, "dropout")[0];
    const ValueId w2 = is_tied ? w1 : g.add_parameter("decoder.weight", {dtype, {kCode, kWide}});
    const ValueId loss = g.add(kDenseLoss, DenseLossAttrs{.weight_transposed = is_tied},
                               {noisy, w2, b2, x}, "decoder")[0];
    const ValueId master = g.add_parameter("encoder.weight", {DType::kF32, {kWide, kCode}});
    const ValueId penalty =
        g.add(kL2Penalty, L2PenaltyAttrs{1e-4f}, {master}, "encoder penalty")[0];
    differentiate(g, std::array{loss, penalty});
    add_update(g, blob, state, loss, penalty);
    return g;
  }

  void add_update(Graph& g, const TensorDesc& blob, ValueId state, ValueId loss,
                  ValueId penalty) const {
    const ValueId total = g.add(kSumTerms, SumTermsAttrs{}, {loss, penalty}, "total loss")[0];
    const ValueId grads = g.add_state(store_names::kGrads, blob);
    const ValueId norm = g.add(kGlobalNorm, GlobalNormAttrs{}, {grads}, "gradient norm")[0];
    std::vector<ValueId> moved = {g.add_state(store_names::kMaster, blob),
                                  g.add_state(store_names::kM, blob),
                                  g.add_state(store_names::kV, blob)};
    OptimizerAttrs update{.has_low = dtype == DType::kBf16};
    update.rule.clip_norm = 1;
    if (update.has_low)
      moved.push_back(g.add_state(store_names::kLow, {DType::kBf16, blob.extents()}));
    g.add_into(kOptimizer, update, std::array{grads, state, total, norm}, moved, "update");
    const ValueId scalars = g.add_state(store_names::kScalars, step_scalars_desc());
    const ValueId losses = g.add_state(store_names::kLosses, step_losses_desc());
    g.add_into(kAdvance, AdvanceAttrs{kBatch, true}, std::array{scalars, total, norm},
               std::array{state, losses}, "advance");
  }
};

// Everything a training needs, on the host.
class Training {
 public:
  Training(const Net& net, const Policy& policy, float poison = 0)
      : backend_(create_host_backend(1)),
        stream_(backend_->create_stream()),
        store_(*backend_, net.parameters(), step_states(net.parameters(), net.dtype, {})),
        plan_(
            Plan::compile(net.graph(store_.layout().desc(DType::kF32)), backend_->info(), policy)),
        arena_(*backend_) {
    fill(poison);
    arena_.reserve(plan_.arena_bytes());
    executor_ = std::make_unique<Executor>(plan_, *backend_, store_, arena_, *stream_,
                                           std::map<std::string, void*>{{"data", data_.data()},
                                                                        {"order", order_.data()},
                                                                        {"shift", shift_.data()},
                                                                        {"scale", scale_.data()}});
  }

  void epoch(Capture capture) {
    rewind();
    for (int64_t k = 0; k < kRows / kBatch; ++k) executor_->run(capture);
    stream_->synchronize();
  }

  void epoch_in_one_launch() {
    rewind();
    executor_->run_many(kRows / kBatch);
    stream_->synchronize();
  }

  kernels::StepState& state() {
    return *store_.state(store_names::kStepState).as<kernels::StepState>();
  }
  std::vector<float> master() const { return floats(store_.state(store_names::kMaster)); }
  float loss(uint64_t step) const { return store_.state(store_names::kLosses).as<float>()[step]; }
  const Plan& plan() const { return plan_; }

 private:
  static std::vector<float> floats(const TensorView& view) {
    return {view.as<float>(), view.as<float>() + view.desc.elems()};
  }

  void rewind() { state().batch_row = 0; }

  void fill(float poison) {
    const kernels::RandomKey key{7, 0, 0};
    for (size_t k = 0; k < data_.size(); ++k)
      data_[k] = kernels::normal_at(key, 0, k) * (1.0f + static_cast<float>(k % 3));
    data_[5] += poison;
    for (uint32_t k = 0; k < kRows; ++k) order_[k] = (k * 7) % kRows;
    for (const ParameterSpec& spec : store_.parameters()) {
      const TensorView view = store_.parameter(spec.name);
      for (int64_t k = 0; k < spec.desc.elems(); ++k)
        view.as<float>()[k] = 0.3f * kernels::normal_at({8, 0, 0}, spec.name.size(), k);
    }
    store_.refresh_low(*stream_);
    auto* scalars = store_.state(store_names::kScalars).as<kernels::StepScalars>();
    for (int t = 1; t <= 1024; ++t) {
      const auto bias2 = static_cast<float>(std::sqrt(1 - std::pow(0.999, t)));
      scalars[t - 1] = {0.01f, static_cast<float>(1 - std::pow(0.9, t)), bias2, 0};
    }
    state() = {
        .seed = 3, .step = 0, .batch_row = 0, .halt = 0, .first_row = 0, .scalars = scalars[0]};
  }

  std::vector<float> data_ = std::vector<float>(kRows * kWide);
  std::vector<uint32_t> order_ = std::vector<uint32_t>(kRows);
  std::vector<float> shift_ = std::vector<float>(kWide, 0.0f);
  std::vector<float> scale_ = std::vector<float>(kWide, 1.0f);
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Stream> stream_;
  ParameterStore store_;
  Plan plan_;
  Arena arena_;
  std::unique_ptr<Executor> executor_;
};

std::vector<float> masters_after(const Net& net, const Policy& policy, Capture capture) {
  Training training(net, policy);
  for (int k = 0; k < 20; ++k) training.epoch(capture);
  return training.master();
}

class TrainingStep : public testing::TestWithParam<Net> {};

TEST_P(TrainingStep, Learns) {
  Training training(GetParam(), {});
  for (int k = 0; k < 100; ++k) training.epoch(Capture::kOn);
  EXPECT_EQ(training.state().step, 300u);
  EXPECT_EQ(training.state().halt, 0u);
  EXPECT_LT(training.loss(299), 0.7f * training.loss(0));
}

TEST_P(TrainingStep, CaptureChangesNoBit) {
  EXPECT_EQ(masters_after(GetParam(), {}, Capture::kOff),
            masters_after(GetParam(), {}, Capture::kOn));
}

TEST_P(TrainingStep, SeveralStepsInOneLaunchChangeNoBit) {
  Training one_by_one(GetParam(), {});
  Training at_once(GetParam(), {});
  for (int k = 0; k < 10; ++k) {
    one_by_one.epoch(Capture::kOn);
    at_once.epoch_in_one_launch();
  }
  EXPECT_EQ(one_by_one.master(), at_once.master());
}

TEST_P(TrainingStep, FusionChangesNoBitOfTheReference) {
  const Policy fused{.reference_only = true};
  const Policy plain{.fuse = false, .reference_only = true};
  EXPECT_EQ(masters_after(GetParam(), fused, Capture::kOff),
            masters_after(GetParam(), plain, Capture::kOff));
}

TEST_P(TrainingStep, ALossThatIsNotFiniteChangesNoParameter) {
  Training training(GetParam(), {}, std::numeric_limits<float>::infinity());
  const std::vector<float> before = training.master();
  const std::vector<float> good = [&] {
    Training healthy(GetParam(), {});
    return healthy.master();
  }();
  EXPECT_EQ(before, good);
  training.epoch(Capture::kOn);
  const uint64_t halted_at = training.state().step;
  EXPECT_EQ(training.state().halt, 1u);
  EXPECT_LT(halted_at, 3u);
  const std::vector<float> after = training.master();
  training.epoch(Capture::kOn);
  EXPECT_EQ(after, training.master());
  for (const float value : after) EXPECT_TRUE(std::isfinite(value));
}

INSTANTIATE_TEST_SUITE_P(
    Nets, TrainingStep,
    testing::Values(Net{}, Net{.hidden = kernels::Activation::kTanh}, Net{.is_tied = true},
                    Net{.dtype = DType::kBf16, .hidden = kernels::Activation::kRelu}),
    [](const auto& each) {
      return cat(name(each.param.dtype), "_", kernels::name(each.param.hidden),
                 each.param.is_tied ? "_tied" : "");
    });

TEST(Fuse, TakesTheActivationIntoTheDataGradient) {
  Graph g;
  const ValueId dz = g.add_input("dz", {DType::kF32, {4, 5}});
  const ValueId h = g.add_input("h", {DType::kF32, {4, 3}});
  const ValueId w = g.add_parameter("w", {DType::kF32, {3, 5}});
  const ValueId dx = g.add(kDenseDataGrad, DenseDataGradAttrs{}, {dz, w}, "layer")[0];
  const ValueId below =
      g.add(kActivationGrad, ActivationGradAttrs{kernels::Activation::kRelu}, {dx, h}, "below")[0];
  g.mark_output(below, "dz below");
  const Graph fused = fuse(g);
  ASSERT_EQ(fused.nodes().size(), 1u);
  const auto attrs = fused.node(0).attrs.as<DenseDataGradAttrs>();
  EXPECT_TRUE(attrs.has_epilogue);
  EXPECT_EQ(attrs.activation, kernels::Activation::kRelu);
  EXPECT_EQ(fused.node(0).out[0], below);
}

// A dense layer and what ends it, fused.
struct Ended {
  Graph g;
  ValueId x = g.add_input("x", {DType::kF32, {4, 5}});
  ValueId w = g.add_parameter("w", {DType::kF32, {3, 5}});
  ValueId target = g.add_input("target", {DType::kF32, {4, 3}});

  ValueId layer(kernels::Activation activation) {
    const DenseForwardAttrs attrs{
        .activation = activation, .has_bias = false, .weight_transposed = true};
    return g.add(kDenseForward, attrs, {x, w}, "last")[0];
  }
  ValueId loss_of(ValueId z) {
    const LossAttrs attrs{kernels::Activation::kSigmoid, kernels::Loss::kBce, 2, false};
    return g.add(kLoss, attrs, {z, target}, "last")[0];
  }
  std::vector<std::string> fused_ops() {
    std::vector<std::string> names;
    const Graph fused = fuse(g);
    for (const Node& node : fused.nodes()) names.emplace_back(node.op->name);
    return names;
  }
};

TEST(Fuse, MakesOneNodeOfALinearLayerAndItsLoss) {
  Ended net;
  const ValueId loss = net.loss_of(net.layer(kernels::Activation::kIdentity));
  net.g.mark_output(loss, "loss");
  const Graph fused = fuse(net.g);
  ASSERT_EQ(fused.nodes().size(), 1u);
  const Node& node = fused.node(0);
  EXPECT_EQ(node.op, &kDenseLoss);
  EXPECT_EQ(node.in, (std::vector{net.x, net.w, net.target}));
  EXPECT_EQ(node.out, std::vector{loss});
  const auto attrs = node.attrs.as<DenseLossAttrs>();
  EXPECT_EQ(attrs.activation, kernels::Activation::kSigmoid);
  EXPECT_EQ(attrs.loss, kernels::Loss::kBce);
  EXPECT_EQ(attrs.scale, 2);
  EXPECT_FALSE(attrs.has_bias || attrs.with_gradient);
  EXPECT_TRUE(attrs.weight_transposed);
}

TEST(Fuse, LeavesALayerThatIsNotLinearOrIsReadElsewhereToItsLoss) {
  const std::vector<std::string> both = {"dense_forward", "loss"};
  Ended bent;
  bent.loss_of(bent.layer(kernels::Activation::kRelu));
  EXPECT_EQ(bent.fused_ops(), both);
  Ended read;
  const ValueId z = read.layer(kernels::Activation::kIdentity);
  read.g.mark_output(z, "z");
  read.loss_of(z);
  EXPECT_EQ(read.fused_ops(), both);
}

TEST(Fuse, MakesOneNodeOfALayerAndItsScore) {
  for (const int64_t worst : {0, 2}) {
    Ended net;
    const ValueId y = net.layer(kernels::Activation::kTanh);
    net.g.add(kRowScore, RowScoreAttrs{worst}, {y, net.target}, "score");
    EXPECT_EQ(net.fused_ops(), worst == 0
                                   ? std::vector<std::string>{"dense_score"}
                                   : (std::vector<std::string>{"dense_forward", "row_score"}));
    if (worst > 0) continue;
    const Graph fused = fuse(net.g);
    EXPECT_EQ(fused.node(0).attrs.as<DenseScoreAttrs>().activation, kernels::Activation::kTanh);
  }
}

TEST(Plan, SaysWhyNoKernelFits) {
  Graph g;
  const ValueId a = g.add_input("a", {DType::kF64, {4}});
  g.add(kAdd, AddAttrs{}, {a, a}, "sum");
  try {
    Plan::compile(g, *device_from_name("sm_90"), {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDevice);
    EXPECT_NE(std::string(error.what()).find("reference.add: runs on the host"), std::string::npos)
        << error.what();
  }
}

TEST(Graph, AShapeThatDoesNotFitIsNamed) {
  Graph g;
  const ValueId x = g.add_input("x", {DType::kF32, {4, 7}});
  const ValueId w = g.add_parameter("w", {DType::kF32, {8, 3}});
  try {
    g.add(kDenseForward, DenseForwardAttrs{.has_bias = false}, {x, w}, "encoder.0");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "encoder.0 (dense_forward): weight: expected f32[7,*], found f32[8,3]");
  }
}

}  // namespace
}  // namespace diabolo
