// A measure is reported as a term of the loss is, and is no part of it; by one that this file alone
// knows.
#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "infer/inference.h"
#include "model/added_parts.h"
#include "model/model_graph.h"
#include "ops/mean_abs.h"
#include "train/train_test.h"

namespace diabolo {
namespace {

std::vector<ValueId> build_size(const TermBuild& build) {
  return {build.model.graph().add(kMeanAbs, MeanAbsAttrs{}, {build.code}, "size")[0]};
}
constexpr TermDef kSize = {.name = "size", .build = build_size};

bool is_measured = true;
std::vector<TermSpec> terms(const ModelConfig&) {
  if (!is_measured) return {};
  return {{.name = "size", .in_loss = false, .def = &kSize}};
}

constexpr CodeDef kMeasured = {.name = "measured", .what = "plain, measured", .terms = terms};

class Measure : public TrainTest {
 protected:
  Measure() { is_measured = true; }

  TrainResult run_in(const std::string& name, RunUse use, uint64_t stop) {
    TrainOptions options;
    options.directory = open_run_directory(folder_ / name, use);
    options.resume = use == RunUse::kResume;
    options.max_steps_per_launch = 1;
    TrainCallbacks callbacks;
    callbacks.progress = [=](const TrainProgress& now) { return stop == 0 || now.step < stop; };
    return run(config_, *data_.data, options, nullptr, callbacks);
  }

  TemporaryFolder folder_;
  WithCode part_{kMeasured};
  Config config_ = small_config();
};

TEST_F(Measure, IsWhatItMeasures) {
  config_.model.code.kind = "measured";
  config_.train.epochs = 1;
  config_.train.batch_size = 300;
  config_.optimizer.kind = kernels::Optimizer::kSgd;
  config_.optimizer.learning_rate = 0;
  const TrainResult result = run(config_, *data_.data);
  std::vector<float> codes(300 * 3);
  Inference(*backend_, result.model, {})
      .encode({DType::kF32, false, std::as_bytes(std::span(data_.values)), 300}, codes);
  double sum = 0;
  for (const float code : codes) sum += std::fabs(static_cast<double>(code));
  const EpochMetrics& line = result.metrics.front();
  EXPECT_NEAR(term(line, "size"), sum / 900, 1e-5);
  EXPECT_EQ(line.loss, term(line, "reconstruction"));
  EXPECT_FALSE(line.terms.back().in_loss);
  EXPECT_EQ(line.json()["size"], term(line, "size"));
}

// Neither the loss nor the parameters nor what validation says.
TEST_F(Measure, ChangesNothing) {
  config_.train.validation = "0.2";
  const TrainResult plain = run(config_, *data_.data);
  config_.model.code.kind = "measured";
  const TrainResult measured = run(config_, *data_.data);
  EXPECT_EQ(bits_of(measured.model), bits_of(plain.model));
  for (size_t i = 0; i < plain.metrics.size(); ++i) {
    EXPECT_EQ(measured.metrics[i].loss, plain.metrics[i].loss);
    EXPECT_EQ(measured.metrics[i].validation_loss, plain.metrics[i].validation_loss);
  }
}

TEST_F(Measure, GoesOnInTheMiddleOfAnEpoch) {
  config_.model.code.kind = "measured";
  const TrainResult whole = run_in("whole", RunUse::kNew, 0);
  run_in("stopped", RunUse::kNew, 7);
  const TrainResult rest = run_in("stopped", RunUse::kResume, 0);
  EXPECT_EQ(bits_of(rest.model), bits_of(whole.model));
  EXPECT_EQ(term(rest.metrics.back(), "size"), term(whole.metrics.back(), "size"));
}

// A kind of code that learns to measure something leaves the checkpoints of before as they were.
TEST_F(Measure, IsNotKnownOfAnEpochThatBeganWithoutIt) {
  config_.model.code.kind = "measured";
  is_measured = false;
  run_in("old", RunUse::kNew, 2);
  is_measured = true;
  run_in("old", RunUse::kResume, 5);  // its sum is not known in the checkpoint either
  const TrainResult rest = run_in("old", RunUse::kResume, 0);
  EXPECT_TRUE(std::isnan(term(rest.metrics.front(), "size")));
  EXPECT_NE(rest.metrics.front().json().dump().find("\"size\":null"), std::string::npos);
  EXPECT_GT(term(rest.metrics.back(), "size"), 0);
}

}  // namespace
}  // namespace diabolo
