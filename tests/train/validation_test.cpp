// Trainings with validation rows: which weights they keep, and what they say.
#include <gmock/gmock.h>

#include "infer/inference.h"
#include "train/train_test.h"

namespace diabolo {
namespace {

class ValidationTest : public TrainTest {};

TEST_F(ValidationTest, EarlyStoppingKeepsTheBest) {
  Config config = small_config();
  config.train.epochs = 200;
  config.train.patience = 3;
  config.train.validation = "0.2";
  config.optimizer.learning_rate = 0.05;  // restless enough to stop soon
  TemporaryFolder folder;
  TrainOptions options;
  options.directory = open_run_directory(folder / "run", RunUse::kNew);
  const TrainResult result = run(config, *data_.data, options);
  EXPECT_TRUE(result.is_stopped_early);
  EXPECT_LT(result.epochs, 200);
  EXPECT_EQ(result.model.provenance.rows, 240u);
  size_t best = 0;
  for (size_t i = 0; i < result.metrics.size(); ++i)
    if (*result.metrics[i].validation_loss < *result.metrics[best].validation_loss) best = i;
  EXPECT_EQ(best + 1 + 3, result.metrics.size());
  EXPECT_EQ(result.model.provenance.epochs, best + 1);
  EXPECT_EQ(bits_of(load_model(folder / "run")), bits_of(result.model));
}

TEST_F(ValidationTest, ProgressHearsTheLastValidationLoss) {
  Config config = small_config();
  config.train.validation = "0.2";
  TrainProgress last;
  int64_t reports_of_a_first_epoch_without = 0;
  TrainCallbacks callbacks;
  callbacks.progress = [&](const TrainProgress& now) {
    reports_of_a_first_epoch_without += now.epoch == 2 && !now.validation_loss;
    last = now;
    return true;
  };
  const TrainResult result = train(*backend_, config, *data_.data, nullptr, {}, callbacks);
  EXPECT_EQ(last.epoch, config.train.epochs);
  EXPECT_EQ(last.samples, 3u * 240);
  EXPECT_EQ(last.loss, result.metrics.back().loss);
  EXPECT_EQ(last.validation_loss, result.metrics.back().validation_loss);
  EXPECT_EQ(reports_of_a_first_epoch_without, 0);
}

TEST_F(ValidationTest, ValidationOfItsOwnIsNotTrainedOn) {
  const FloatData other(planar_rows(70, 12, 2), 12);
  Config config = small_config();
  config.train.epochs = 40;
  config.train.patience = 0;
  const TrainResult with = run(config, *data_.data, {}, other.data.get());
  ASSERT_TRUE(with.metrics.back().validation_loss.has_value());
  EXPECT_GT(*with.metrics.back().validation_loss, with.metrics.back().loss);
  const FloatData narrow(planar_rows(70, 11, 2), 11);
  EXPECT_EQ(error_of(config, *data_.data, {}, narrow.data.get()).code(), ErrorCode::kData);
}

// The mean loss of the validation rows is the mean of their scores.
TEST_F(ValidationTest, ValidationLossIsTheMeanScore) {
  const FloatData other(planar_rows(70, 12, 2), 12);
  const TrainResult result = run(small_config(), *data_.data, {}, other.data.get());
  const Inference inference(*backend_, result.model, {});
  std::vector<float> scores(70);
  Scores out;
  out.score = scores;
  inference.score({DType::kF32, false, std::as_bytes(std::span(other.values)), 70}, out);
  double mean = 0;
  for (const float score : scores) mean += static_cast<double>(score) / 70;
  double best = *result.metrics.front().validation_loss;
  for (const EpochMetrics& each : result.metrics) best = std::min(best, *each.validation_loss);
  EXPECT_NEAR(mean, best, 1e-5 * best);
}

}  // namespace
}  // namespace diabolo
