// What a penalty may bring beside its weight, by one that this file alone knows: a key of its own,
// a state of the model, the reconstruction and the target, what the encoder's layers give and what
// they give for other rows, a place in the validation loss.
#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "infer/inference.h"
#include "model/added_parts.h"
#include "model/config_toml.h"
#include "model/model_graph.h"
#include "ops/mean_abs.h"
#include "train/stateful_part.h"
#include "train/train_test.h"

namespace diabolo {
namespace {

using testing::HasSubstr;

constexpr size_t kRows = 300, kFeatures = 12;

ModelOption drift_of() {
  return {.table = "model.penalty",
          .name = "drift_of",
          .meaning = "what should stay where the targets were",
          .type = ConfigType::kChoice,
          .choices = {"reconstruction", "target", "hidden", "again"},
          .standard = {.text = "reconstruction"}};
}

std::vector<ModelOption> options() {
  return {drift_of()};
}

std::vector<StateSpec> states(const ModelConfig&, const Network& network) {
  return {{"drift.mean", TensorDesc(DType::kF32, {network.features}), StateKind::kOfModel,
           Init{0.25f}}};
}

// The mean distance of all numbers from a running mean of the targets; of the encoder's from 0.
std::vector<ValueId> build(const TermBuild& build) {
  ModelGraph& model = build.model;
  const auto add = [&](const OpDef& op, ValueId a, ValueId b) {
    return model.graph().add(op, stateful::NoAttrs{}, {a, b}, "drift")[0];
  };
  const ValueId mean = model.state(states(build.config, build.network)[0]);
  if (model.is_training())
    model.add_next_state(mean, add(stateful::kRunningMean, build.target, mean), "drift");
  const std::string of = drift_of().value(build.config).text;
  ValueId away = kNoValue;
  if (of == "hidden")
    away = model.hidden().back();
  else if (of == "again")
    away = model.encoded_again(build.target);
  else
    away = add(stateful::kCentre, of == "target" ? build.target : model.reconstruction(), mean);
  return {weighed(build, model.graph().add(kMeanAbs, MeanAbsAttrs{}, {away}, "drift")[0])};
}

constexpr TermDef kDrift = {.name = "drift",
                            .meaning = "times the mean distance from the targets' running mean",
                            .build = build,
                            .counts_in_validation = true,
                            .options = options,
                            .states = states};

// One step an epoch, without scaling.
Config still_config() {
  Config config = small_config();
  config.data.scale = Scale::kNone;
  config.model.decoder.output = kernels::Activation::kTanh;
  config.train.batch_size = kRows;
  config.train.epochs = 1;
  config.optimizer.kind = kernels::Optimizer::kSgd;
  config.optimizer.learning_rate = 0;
  return config;
}

class Drift : public TrainTest {
 protected:
  double mean_distance(std::span<const float> rows) {
    double sum = 0;
    for (const float value : rows) sum += std::abs(static_cast<double>(value) - 0.25);
    return sum / static_cast<double>(rows.size());
  }

  WithPenalty part_{kDrift};
};

TEST_F(Drift, ItsKeyIsOneLikeAnyOther) {
  Config config;
  set_config_text(config, "model.penalty.drift_of", "target");
  EXPECT_THAT(error_of(config, *data_.data).what(), HasSubstr("drift_of: means nothing"));
  set_config_text(config, "model.penalty.drift", "0.5");
  EXPECT_THAT(config_toml(config), HasSubstr("drift_of = \"target\""));
  Config again;
  assign(parse_config_toml(config_toml(config), "c.toml"), again);
  EXPECT_EQ(drift_of().value(again.model).text, "target");
  EXPECT_EQ(stored_config_json(config)["model"]["penalty"]["drift_of"], "target");
  EXPECT_THROW(set_config_text(config, "model.penalty.drift_of", "codes"), Error);
}

TEST_F(Drift, SeesTargetAndReconstruction) {
  Config config = still_config();
  const TrainResult plain = run(config, *data_.data, {}, data_.data.get());
  std::vector<float> rows(kRows * kFeatures);
  Inference(*backend_, plain.model, {})
      .reconstruct({DType::kF32, false, std::as_bytes(std::span(data_.values)), kRows}, rows);
  set_config_text(config, "model.penalty.drift", "0.5");
  for (const bool is_target : {false, true}) {
    set_config_text(config, "model.penalty.drift_of", is_target ? "target" : "reconstruction");
    const auto line = run(config, *data_.data, {}, data_.data.get()).metrics.front();
    const double expected = 0.5 * mean_distance(is_target ? data_.values : rows);
    EXPECT_NEAR(term(line, "drift"), expected, 1e-5);
    EXPECT_NEAR(term(line, "reconstruction"), plain.metrics[0].loss, 1e-6);
    EXPECT_NE(*line.validation_loss, *plain.metrics[0].validation_loss) << "it counts there";
  }
}

// The encoder of the same rows again is the same function: its dropout has the same draws, and
// a block's state moves on once.
TEST_F(Drift, SeesWhatTheEncoderGivesAndGivesAgain) {
  for (const bool has_state : {false, true}) {
    std::optional<WithCentre> part;
    if (has_state) part.emplace();
    Config config = still_config();
    config.model.encoder.dropout = 0.5;
    set_config_text(config, "model.penalty.drift", "0.5");
    std::vector<double> found;
    StateValues states;
    for (const char* of : {"hidden", "again"}) {
      set_config_text(config, "model.penalty.drift_of", of);
      const TrainResult result = run(config, *data_.data);
      found.push_back(term(result.metrics.front(), "drift"));
      if (states.empty()) states = result.model.states;
      EXPECT_EQ(result.model.states, states) << of;
    }
    EXPECT_EQ(states.size(), has_state ? 2u : 1u);
    EXPECT_GT(found[0], 0);
    EXPECT_EQ(found[0], found[1]);
  }
}

TEST_F(Drift, MovesTheParametersByTheReconstruction) {
  Config config = still_config();
  config.optimizer.learning_rate = 0.1;
  const auto plain = bits_of(run(config, *data_.data).model);
  set_config_text(config, "model.penalty.drift", "0.5");
  EXPECT_NE(bits_of(run(config, *data_.data).model), plain);
  set_config_text(config, "model.penalty.drift_of", "target");
  EXPECT_EQ(bits_of(run(config, *data_.data).model), plain) << "no parameter lies behind it";
}

// In the model's file as long as the term is in the loss, and moved on by each step.
TEST_F(Drift, ItsStateIsTheModels) {
  Config config = still_config();
  EXPECT_TRUE(run(config, *data_.data).model.states.empty());
  set_config_text(config, "model.penalty.drift", "0.5");
  const ModelFile model = run(config, *data_.data).model;
  ASSERT_EQ(model.states.size(), 1u);
  for (size_t f = 0; f < kFeatures; ++f) {
    double sum = 0;
    for (size_t row = 0; row < kRows; ++row)
      sum += static_cast<double>(data_.values[row * kFeatures + f]);
    EXPECT_NEAR(model.states[0][f], 0.25 + (sum / kRows - 0.25) / 8, 1e-5);
  }
  const TemporaryFolder folder;
  write_model(model, folder / "m.diabolo");
  EXPECT_EQ(load_model(folder / "m.diabolo").states, model.states);
}

TEST_F(Drift, GoesOnWithItsState) {
  Config config = small_config();
  set_config_text(config, "model.penalty.drift", "0.1");
  set_config_text(config, "model.penalty.drift_warmup_steps", "12");
  const TemporaryFolder folder;
  const auto run_in = [&](const std::string& name, RunUse use, uint64_t stop) {
    TrainOptions options;
    options.directory = open_run_directory(folder / name, use);
    options.resume = use == RunUse::kResume;
    options.max_steps_per_launch = 2;
    TrainCallbacks callbacks;
    callbacks.progress = [=](const TrainProgress& now) { return stop == 0 || now.step < stop; };
    return run(config, *data_.data, options, nullptr, callbacks).model;
  };
  const ModelFile whole = run_in("whole", RunUse::kNew, 0);
  run_in("stopped", RunUse::kNew, 7);
  const ModelFile rest = run_in("stopped", RunUse::kResume, 0);
  EXPECT_EQ(bits_of(rest), bits_of(whole));
  EXPECT_EQ(rest.states, whole.states);
}

}  // namespace
}  // namespace diabolo
