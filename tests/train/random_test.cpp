// Which random numbers a training draws. Equal draws where they should differ break no other test:
// a training still learns, repeats and resumes.
#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "kernels/noise.h"
#include "model/model.h"
#include "model/training_graph.h"
#include "ops/noise.h"
#include "train/order.h"
#include "train/train_session.h"
#include "train/training_fixture.h"

namespace diabolo {
namespace {

TEST(EpochOrder, IsAPermutationOfItsOwnForEverySeedAndEpoch) {
  std::set<std::vector<uint32_t>> all;
  for (const uint64_t seed : {0, 1, 7}) {
    for (const uint32_t epoch : {0u, 1u, 2u, kSplitEpoch}) {
      std::vector<uint32_t> order = epoch_order(seed, epoch, 100);
      EXPECT_EQ(order, epoch_order(seed, epoch, 100));
      EXPECT_TRUE(all.insert(order).second) << "seed " << seed << ", epoch " << epoch;
      std::ranges::sort(order);
      std::vector<uint32_t> rows(100);
      std::iota(rows.begin(), rows.end(), 0u);
      EXPECT_EQ(order, rows);
    }
  }
  EXPECT_TRUE(epoch_order(1, 0, 0).empty());
}

TEST(EpochOrder, PutsEveryRowInEveryPlaceEquallyOften) {
  constexpr uint64_t kRows = 5;
  constexpr uint32_t kEpochs = 5000;
  std::map<std::pair<uint64_t, uint32_t>, int> count;
  for (uint32_t epoch = 0; epoch < kEpochs; ++epoch) {
    const std::vector<uint32_t> order = epoch_order(3, epoch, kRows);
    for (uint64_t place = 0; place < kRows; ++place) ++count[{place, order[place]}];
  }
  // Each of the 25 is binomial around 1000 with deviation 28: five of those.
  for (const auto& [at, times] : count)
    EXPECT_NEAR(times, 1000, 142) << "place " << at.first << ", row " << at.second;
}

// The elements that dropout keeps.
std::vector<float> mask(uint64_t seed, uint64_t step, uint32_t layer) {
  constexpr int64_t kRows = 8, kWidth = 16;
  kernels::StepState state{};
  state.seed = seed;
  state.step = step;
  const std::vector<float> ones(kRows * kWidth, 1.0f);
  std::vector<float> out(ones.size());
  kernels::dropout_reference<float>({.B = kRows,
                                     .D = kWidth,
                                     .rate = 0.5f,
                                     .purpose = kernels::RandomPurpose::kDropout + layer,
                                     .state = &state,
                                     .x = ones.data(),
                                     .y = out.data()});
  return out;
}

TEST(Dropout, DrawsAnewForEverySeedStepLayerAndRow) {
  std::set<std::vector<float>> all, rows;
  for (const uint64_t seed : {1, 2})
    for (const uint64_t step : {0, 1, 2})
      for (const uint32_t layer : {0u, 1u}) EXPECT_TRUE(all.insert(mask(seed, step, layer)).second);
  const std::vector<float> one = mask(1, 0, 0);
  for (size_t row = 0; row < 8; ++row)
    EXPECT_TRUE(rows.emplace(&one[row * 16], &one[row * 16] + 16).second);
}

TEST(Dropout, EveryLayerHasAStreamAndItsGradientTheSame) {
  Config config = resolved(small_config(), Scale::kStandard);
  config.model.encoder.dropout = config.model.decoder.dropout = 0.1;
  const Network network = Network::of(config.model, 12);
  TrainingGraphOptions build;
  build.rows = 32;
  std::vector<uint32_t> forward, backward;
  const Graph graph = training_graph(config.model, network, build);
  for (const Node& node : graph.nodes()) {
    if (node.op != &kDropout) continue;
    const bool is_gradient = node.name.ends_with("gradient");
    (is_gradient ? backward : forward).push_back(node.attrs.as<DropoutAttrs>().layer);
  }
  EXPECT_EQ(std::set<uint32_t>(forward.begin(), forward.end()).size(), forward.size());
  EXPECT_EQ(forward.size(), 4u);  // behind each hidden layer: two that encode, two that decode
  std::ranges::reverse(backward);
  EXPECT_EQ(backward, forward);
}

TEST(Corruption, IsWhatTheConfigurationSays) {
  const auto attrs_of = [](const CorruptionConfig& corruption, Scale scale) {
    Config config = small_config();
    config.model.corruption = corruption;
    config = resolved(config, scale);
    TrainingGraphOptions build;
    build.rows = 32;
    const Graph graph = training_graph(config.model, Network::of(config.model, 12), build);
    const auto found = std::ranges::find(graph.nodes(), &kCorrupt, &Node::op);
    return found->attrs.as<CorruptAttrs>();
  };
  const CorruptAttrs unit =
      attrs_of({CorruptionKind::kGaussian, 0.25, ClipKind::kAuto}, Scale::kUnit);
  EXPECT_EQ(unit.kind, kernels::Corruption::kGaussian);
  EXPECT_EQ(unit.amount, 0.25f);
  EXPECT_EQ(unit.low, 0.0f);  // what is scaled to the unit range stays there
  EXPECT_EQ(unit.high, 1.0f);
  const CorruptAttrs open =
      attrs_of({CorruptionKind::kMasking, 0.5, ClipKind::kAuto}, Scale::kStandard);
  EXPECT_EQ(open.kind, kernels::Corruption::kMasking);
  EXPECT_EQ(open.amount, 0.5f);
  EXPECT_LT(open.low, -1e38f);
  EXPECT_GT(open.high, 1e38f);
}

TEST(InitialParameters, HaveAStreamEach) {
  Config config = resolved(small_config(), Scale::kStandard);
  config.model.encoder.hidden = {12, 12};  // weights of one size
  const auto parameters = initial_parameters(Network::of(config.model, 12), 1);
  ASSERT_EQ(parameters[0].size(), parameters[2].size());
  EXPECT_NE(parameters[0], parameters[2]);
  EXPECT_NE(parameters[1], parameters[3]);
}

// Each row is in one of the two sets, in the file's order.
TEST(Validation, AFractionOfTheRowsIsSetAside) {
  std::vector<float> rows(41);
  std::iota(rows.begin(), rows.end(), 0.0f);
  const FloatData data(rows, 1);
  const auto split = [&](const char* fraction, uint64_t seed) {
    Config config = small_config();
    config.data.scale = Scale::kNone;
    config.train.validation = fraction;
    config.train.seed = seed;
    const TrainData loaded =
        load_train_data(resolved(config, Scale::kNone), *data.data, nullptr, {});
    const auto values = [](const TrainRows& part) {
      const auto* first = reinterpret_cast<const float*>(part.bytes.data());
      return std::vector<float>(first, first + part.rows);
    };
    return std::pair(values(loaded.train), values(*loaded.validation));
  };
  const auto [train, validation] = split("0.25", 7);
  EXPECT_EQ(validation.size(), 10u);
  EXPECT_TRUE(std::ranges::is_sorted(train));
  EXPECT_TRUE(std::ranges::is_sorted(validation));
  std::vector<float> both;
  std::ranges::merge(train, validation, std::back_inserter(both));
  EXPECT_EQ(both, rows);
  EXPECT_EQ(split("0.25", 7).second, validation);
  EXPECT_NE(split("0.25", 8).second, validation);
  EXPECT_EQ(split("0.001", 7).second.size(), 1u);
  EXPECT_THROW(split("0.999", 7), Error);
}

// A corrupted model's validation loss is of corrupted rows, with the same noise each time and other
// noise for each batch.
TEST(Validation, DrawsTheSameNoiseEachTimeAndOtherNoiseForEachBatch) {
  const auto backend = create_host_backend(1);
  std::vector<float> rows = planar_rows(8, 12, 1);
  const std::vector<float> batch = rows;
  rows.insert(rows.end(), batch.begin(), batch.end());  // two equal batches
  const FloatData once(batch, 12), twice(rows, 12);
  const auto loss = [&](const FloatData& validation, double amount) {
    Config config = small_config();
    config.train.batch_size = 8;
    config.model.corruption = {CorruptionKind::kGaussian, amount, ClipKind::kNone};
    config = resolved(config, default_scale(*once.data));
    const Network network = Network::of(config.model, 12);
    const TrainData data = load_train_data(config, *once.data, validation.data.get(), {});
    TrainSession session(*backend, config, network, data, {});
    session.set_parameters(initial_parameters(network, 1));
    const double first = session.validate();
    EXPECT_EQ(session.validate(), first);
    return first;
  };
  EXPECT_FLOAT_EQ(static_cast<float>(loss(once, 1e-9)), static_cast<float>(loss(twice, 1e-9)));
  EXPECT_NE(loss(once, 0.5), loss(twice, 0.5));
  EXPECT_NE(loss(once, 0.5), loss(once, 1e-9));
}

}  // namespace
}  // namespace diabolo
