// What --dry-run says against what a training takes.
#include "infer/inference.h"
#include "infer/threshold.h"
#include "model/presets.h"
#include "train/train_session.h"
#include "train/train_test.h"
#include "train/training_plan.h"

namespace diabolo {
namespace {

class EstimateTest : public TrainTest {};

TEST_F(EstimateTest, EstimateSaysWhatTrainingTakes) {
  const TrainEstimate estimate = estimate_training(*backend_, small_config(), *data_.data, nullptr);
  EXPECT_EQ(estimate.rows, 300u);
  EXPECT_EQ(estimate.parameters,
            12u * 16 + 16 + 16 * 8 + 8 + 8 * 3 + 3 + 3 * 8 + 8 + 8 * 16 + 16 + 16 * 12 + 12);
  EXPECT_EQ(estimate.steps, 30u);
  EXPECT_EQ(estimate.data_bytes, 300u * 12 * 4);
  EXPECT_GT(estimate.arena_bytes, 0u);
}

TEST_F(EstimateTest, AllocatesWhatADryRunSays) {
  const ByteData bytes(77, 12, 3);
  for (const Dataset* data : {data_.data.get(), bytes.data.get()}) {
    for (const char* changed :
         {"model.penalty.l2=0.1", "optimizer.kind=sgd", "train.precision=bf16",
          "train.batch_size=1000", "optimizer.clip_norm=1", "train.validation=0.3"}) {
      Config config = small_config();
      set_config_pair(config, changed);
      if (config.train.precision == Precision::kBf16 && !backend_->info().cpu.has_bf16) continue;
      const TrainEstimate said = estimate_training(*backend_, config, *data, nullptr);
      config = resolved(config, default_scale(*data));
      const TrainData loaded = load_train_data(config, *data, nullptr, {});
      const Network network = Network::of(config.model, loaded.train.features);
      const TrainSession session(*backend_, config, network, loaded, {});
      EXPECT_EQ(said.store_bytes, session.store_bytes()) << changed;
      EXPECT_EQ(said.arena_bytes, session.arena_bytes()) << changed;
      // Rows that validate are taken out of the others, whose memory stays as it was.
      uint64_t data_bytes = loaded.train.bytes.capacity();
      if (loaded.validation)
        data_bytes += loaded.validation->bytes.size() +
                      std::min<uint64_t>(32, said.validation_rows) * loaded.validation->row_bytes();
      EXPECT_EQ(said.data_bytes, data_bytes) << changed;
      EXPECT_EQ(said.rows, session.rows()) << changed;
      EXPECT_EQ(said.steps, session.schedule().total_steps) << changed;
    }
  }
}

// Narrow rows on a device: what makes their order takes more than they do.
TEST_F(EstimateTest, RowsAreResidentWhereTheirOrderFitsToo) {
  const Config config = resolved(small_config(), Scale::kStandard);
  const Network network = Network::of(config.model, 2);
  const TrainingPlan plan(*device_from_name("sm_90"), config, network, {.rows = 1000000},
                          std::nullopt, true);
  EXPECT_GT(plan.arena_bytes(), 2 * plan.input_bytes());
  const uint64_t all = plan.store_bytes() + plan.arena_bytes() + plan.input_bytes();
  for (const uint64_t free : {uint64_t{0}, plan.store_bytes(), all - 1, all})
    EXPECT_FALSE(plan.fits(free)) << free;
  EXPECT_TRUE(plan.fits(2 * all));
}

// The step of a deep net on a GPU: a kind of activation that keeps z beside h.
Plan step_of_deep_net(uint64_t batch, double clip_norm) {
  Config config = preset_config("dense");
  config.model.encoder.hidden = {512, 256};
  config.model.encoder.activation = kernels::Activation::kGelu;
  config.model.code.size = 64;
  config.train.batch_size = batch;
  config.train.precision = Precision::kBf16;
  config.optimizer.clip_norm = clip_norm;
  config = resolved(config, Scale::kStandard);
  const Network network = Network::of(config.model, 784);
  return TrainingPlan(*device_from_name("sm_90"), config, network, {.rows = 2 * batch},
                      std::nullopt, true)
      .step(batch);
}

// Launches of a step, which no graph's replay makes cheaper: gather, five layers forward and the
// last with its loss; both gradients of each layer but the first, whose weight's is alone, and one
// where that does not pay; the update, which adds the weight gradients' parts up and moves the
// state on.
TEST_F(EstimateTest, LaunchesOfAStepOnAGpu) {
  const struct {
    uint64_t batch;
    int64_t launches;
  } goals[] = {{256, 14}, {4096, 14}, {65536, 17}};
  for (const auto& goal : goals) {
    const Plan plan = step_of_deep_net(goal.batch, 0);
    EXPECT_LE(
        std::ranges::count_if(plan.steps(), [](const Step& step) { return !step.joins_previous; }),
        goal.launches)
        << goal.batch;
    for (const Step& step : plan.steps())
      EXPECT_EQ(step.parts_reader >= 0, step.kernel->parts != nullptr) << step.kernel->name;
    const Plan clipped = step_of_deep_net(goal.batch, 1);  // the norm is one more reader
    for (const Step& step : clipped.steps()) EXPECT_LT(step.parts_reader, 0) << step.kernel->name;
  }
}

// What the steps of one launch read and write, and parts until they are read, lie apart.
TEST_F(EstimateTest, StepsOfOneLaunchShareNoMemory) {
  const Plan plan = step_of_deep_net(4096, 0);
  const auto steps = plan.steps();
  const auto begin_of = [&](ValueId id) { return plan.offset(plan.graph().root(id)); };
  const auto end_of = [&](ValueId id) {
    return begin_of(id) + plan.graph().value(id).desc.bytes();
  };
  int64_t pairs = 0, looked = 0;
  for (size_t k = 1; k < steps.size(); ++k) {
    for (const ValueId out : plan.graph().node(steps[k].node).out) {
      if (begin_of(out) == Plan::kNotInArena) continue;
      for (size_t writer = 0; writer < k; ++writer) {
        const Step& left = steps[writer];
        if (left.scratch_bytes == 0 || left.parts_reader < static_cast<int>(k)) continue;
        ++looked;
        EXPECT_TRUE(end_of(out) <= left.scratch_offset ||
                    left.scratch_offset + left.scratch_bytes <= begin_of(out))
            << writer << " leaves parts where " << k << " writes";
      }
    }
    if (!steps[k].joins_previous) continue;
    const Node& first = plan.graph().node(steps[k - 1].node);
    const Node& second = plan.graph().node(steps[k].node);
    const auto expect_apart = [&](const auto& some, const auto& others) {
      for (const ValueId a : some) {
        for (const ValueId b : others) {
          if (begin_of(a) == Plan::kNotInArena || begin_of(b) == Plan::kNotInArena) continue;
          ++pairs;
          EXPECT_TRUE(end_of(a) <= begin_of(b) || end_of(b) <= begin_of(a))
              << first.name << " and " << second.name << " share memory";
        }
      }
    };
    expect_apart(first.out, second.in);
    expect_apart(first.out, second.out);
    expect_apart(first.in, second.out);
    expect_apart(second.in, second.out);
  }
  EXPECT_GT(pairs, 0);
  EXPECT_GT(looked, 0);
}

// What a lane holds is bounded by the rows that there are and, where they are wide, in bytes.
TEST_F(EstimateTest, ADryRunCountsTheScoringAtTheEnd) {
  constexpr int64_t kWide = 200000;
  const FloatData wide(planar_rows(20, kWide, 1), kWide);
  Config config = small_config();
  config.model.encoder.hidden = {2};
  for (const Dataset* data : {data_.data.get(), wide.data.get()}) {
    const TrainEstimate said = estimate_training(*backend_, config, *data, nullptr);
    const TrainResult result = run(config, *data);
    const Inference inference(*backend_, result.model, threshold_options(config.train, said.rows));
    const FloatData& values = data == wide.data.get() ? wide : data_;
    std::vector<float> scores(said.rows);
    Scores out;
    out.score = scores;
    inference.score({DType::kF32, false, std::as_bytes(std::span(values.values)), said.rows}, out);
    EXPECT_GE(said.scoring_bytes, inference.bytes());
    EXPECT_LE(said.scoring_bytes, 5 * inference.bytes());  // which counts no staging, and a lane
    EXPECT_GE(said.peak_bytes, said.data_bytes + said.scoring_bytes);
    EXPECT_GE(said.peak_bytes, said.data_bytes + said.store_bytes + said.arena_bytes);
    // 20 rows of input and two activations as wide, for each of two lanes, and the weights.
    if (data == wide.data.get()) {
      EXPECT_LT(said.scoring_bytes, 2 * 4 * 20 * kWide * sizeof(float));
    }
  }
}

}  // namespace
}  // namespace diabolo
