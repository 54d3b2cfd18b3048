// What every penalty keeps to, those that are yet to come too: its weight, its warm-up, its name.
#include "model/term.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "model/code.h"
#include "model/training_graph.h"
#include "ops/weigh_term.h"
#include "train/train_test.h"

namespace diabolo {
namespace {

using ::testing::HasSubstr;

// One step an epoch, and parameters that stay as they are.
Config still_config() {
  Config config = small_config();
  config.train.batch_size = 300;
  config.optimizer.kind = kernels::Optimizer::kSgd;
  config.optimizer.learning_rate = 0;
  return config;
}

class EveryPenalty : public TrainTest, public testing::WithParamInterface<const TermDef*> {
 protected:
  std::string key() const { return cat("model.penalty.", GetParam()->name); }
  Config with_penalty(Config config, double weight, int64_t warmup_steps = 0) {
    set_penalty(config, *GetParam(), weight, warmup_steps);
    return config;
  }
  double value(const EpochMetrics& metrics) { return term(metrics, GetParam()->reported); }
};

TEST_P(EveryPenalty, WarmsUpFromZeroToItsWeight) {
  const Config whole = with_penalty(still_config(), 1);
  const double raw = value(run(whole, *data_.data).metrics.front());
  EXPECT_GT(raw, 0);
  Config config = with_penalty(still_config(), 0.3, 7);
  config.train.epochs = 10;
  const auto metrics = run(config, *data_.data).metrics;
  ASSERT_EQ(metrics.size(), 10);
  EXPECT_EQ(value(metrics[0]), 0);
  for (size_t step = 0; step < 10; ++step) {
    const double share = std::min(1.0, static_cast<double>(step) / 7);
    EXPECT_NEAR(value(metrics[step]), 0.3 * share * raw, 1e-6 * raw) << step;
    EXPECT_NEAR(metrics[step].loss, term(metrics[step], "reconstruction") + value(metrics[step]),
                1e-6 * metrics[step].loss);
  }
}

// The first step of a warm-up has the weight 0, the others have not.
TEST_P(EveryPenalty, MovesTheParametersByItsWeight) {
  Config config = still_config();
  config.optimizer.learning_rate = 0.1;
  for (const int64_t epochs : {1, 2}) {
    config.train.epochs = epochs;
    const auto plain = bits_of(run(config, *data_.data).model);
    const auto warm = bits_of(run(with_penalty(config, 0.5, 3), *data_.data).model);
    EXPECT_EQ(plain == warm, epochs == 1);
    EXPECT_NE(plain, bits_of(run(with_penalty(config, 0.5), *data_.data).model));
  }
}

// Behind its warm-up a weight is what one without a warm-up is, in every precision.
TEST_P(EveryPenalty, LowersWhatItPenalises) {
  for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
    Config config = small_config();
    config.train.precision = precision;
    config.train.epochs = 10;
    const double free = value(run(with_penalty(config, 1e-6), *data_.data).metrics.back()) / 1e-6;
    for (const int64_t warmup : {0, 20}) {
      const auto metrics = run(with_penalty(config, 0.1, warmup), *data_.data).metrics;
      EXPECT_LT(value(metrics.back()) / 0.1, 0.8 * free) << warmup;
    }
  }
}

TEST_P(EveryPenalty, CountsInValidationWhereItSaysSo) {
  Config config = still_config();
  config.train.validation = "0.2";
  const auto plain = run(config, *data_.data).metrics.front();
  const auto found = run(with_penalty(config, 2), *data_.data).metrics.front();
  EXPECT_EQ(found.validation_loss == plain.validation_loss, !GetParam()->counts_in_validation);
  EXPECT_EQ(term(found, "reconstruction"), plain.loss);
}

TEST_P(EveryPenalty, IsRefusedWhereItMeansNothing) {
  const Error error = error_of(with_penalty(small_config(), 0, 5), *data_.data);
  EXPECT_EQ(error.code(), ErrorCode::kUsage);
  EXPECT_THAT(error.what(), HasSubstr(key() + "_warmup_steps: means nothing"));
  EXPECT_EQ(loss_terms(small_config().model).size(), 1);
}

TEST_P(EveryPenalty, GoesOnInTheMiddleOfItsWarmUp) {
  const Config config = with_penalty(small_config(), 0.01, 25);  // of 30 steps
  const TemporaryFolder folder;
  const auto run_in = [&](const std::string& name, RunUse use, uint64_t stop) {
    TrainOptions options;
    options.directory = open_run_directory(folder / name, use);
    options.resume = use == RunUse::kResume;
    options.max_steps_per_launch = 2;
    TrainCallbacks callbacks;
    callbacks.progress = [=](const TrainProgress& now) { return stop == 0 || now.step < stop; };
    return run(config, *data_.data, options, nullptr, callbacks);
  };
  const TrainResult whole = run_in("whole", RunUse::kNew, 0);
  for (const uint64_t stop : {1, 5, 10, 17, 26}) {
    SCOPED_TRACE(stop);
    const std::string name = cat("stopped", stop);
    EXPECT_TRUE(run_in(name, RunUse::kNew, stop).is_cancelled);
    const TrainResult rest = run_in(name, RunUse::kResume, 0);
    EXPECT_EQ(bits_of(rest.model), bits_of(whole.model));
    EXPECT_EQ(value(rest.metrics.back()), value(whole.metrics.back()));
  }
}

std::string name_of(const testing::TestParamInfo<const TermDef*>& info) {
  return info.param->name;
}
INSTANTIATE_TEST_SUITE_P(All, EveryPenalty, testing::ValuesIn(term_defs()), name_of);

// The ring of weights comes round, and launches of several steps end within it.
TEST_F(TrainTest, AWarmUpIsLongerThanTheRecordOfItsWeights) {
  constexpr auto kWarmup = static_cast<int64_t>(3 * kernels::kStepSlots);
  Config config = still_config();
  config.train.batch_size = 32;  // ten steps an epoch
  config.train.epochs = kWarmup / 10 + 10;
  set_penalty(config, kL2Term, 1, kWarmup);
  const auto metrics = run(config, *data_.data).metrics;
  const double raw = term(metrics.back(), kL2Term.reported);
  for (size_t epoch = 0; epoch + 1 < kWarmup / 10; ++epoch) {
    const double steps = 10.0 * static_cast<double>(epoch) + 4.2;  // the tenth has 12 rows
    ASSERT_NEAR(term(metrics[epoch], kL2Term.reported), raw * steps / kWarmup, 1e-5 * raw) << epoch;
  }
}

// Among them those of every kind of code, and the fields of a line of metrics.jsonl.
TEST(LossTerms, HaveNamesOfTheirOwn) {
  EpochMetrics line;
  line.validation_loss = 0;
  for (const CodeDef* code : code_defs()) {
    Config config;
    config.model.code.kind = code->name;
    for (const TermDef* def : term_defs()) set_penalty(config, *def, 1, 0);
    std::vector<std::string> names;
    for (const TermSpec& spec : loss_terms(config.model)) names.push_back(spec.name);
    EXPECT_GE(names.size(), 1 + term_defs().size());
    EXPECT_EQ(names.front(), "reconstruction");
    const nlohmann::json fields = line.json();
    for (const auto& field : fields.items()) names.push_back(field.key());
    std::ranges::sort(names);
    EXPECT_TRUE(std::ranges::adjacent_find(names) == names.end()) << code->name;
  }
}

// Also where there is a warm-up: one launch weighs it.
TEST(LossTerms, AreWeighedOnce) {
  Config config = resolved(small_config(), Scale::kStandard);
  set_penalty(config, kL2Term, 0.1, 5);
  const Graph graph = training_graph(config.model, Network::of(config.model, 12), {.rows = 4});
  const auto is_weighed = [](const Node& node) { return node.op == &kWeighTerm; };
  EXPECT_EQ(std::ranges::count_if(graph.nodes(), is_weighed), 1);
}

TEST(LossTerms, WeightsRiseInEqualSteps) {
  const TermSpec spec{.name = "a", .weight = 0.3, .warmup_steps = 7};
  for (uint64_t step = 0; step < 7; ++step)
    EXPECT_EQ(spec.weight_at(step), 0.3 * static_cast<double>(step) / 7);
  EXPECT_EQ(spec.weight_at(7), 0.3);
  EXPECT_EQ(spec.weight_at(uint64_t{1} << 60), 0.3);
}

}  // namespace
}  // namespace diabolo
