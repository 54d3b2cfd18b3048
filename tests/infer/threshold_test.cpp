// The threshold flags the share of fresh rows that was asked for.
#include "infer/threshold.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "infer/inference.h"
#include "infer/score.h"
#include "train/train_data.h"
#include "train/training_fixture.h"

namespace diabolo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Numbers without any structure: what a network learns of them it has learnt by heart.
std::vector<float> noise_rows(uint64_t rows, uint64_t features, uint64_t seed) {
  std::vector<float> out(rows * features);
  for (uint64_t i = 0; i < out.size(); ++i)
    out[i] = kernels::normal_at({seed, 3, 0}, static_cast<uint32_t>(i / features), i % features);
  return out;
}

// What is logged while it lives.
class Lines {
 public:
  Log log() {
    return Log([this](LogLevel level, std::string_view line) {
      if (level == LogLevel::kWarning) lines_.emplace_back(line);
    });
  }
  const std::vector<std::string>& lines() const { return lines_; }

 private:
  std::vector<std::string> lines_;
};

// Share of fresh rows above the threshold of a model trained on others.
double flagged_share(Backend& backend, const Config& config, uint64_t rows, uint64_t features,
                     uint64_t seed) {
  const FloatData data(noise_rows(rows, features, 2 * seed), static_cast<int64_t>(features));
  const FloatData fresh(noise_rows(4000, features, 2 * seed + 1), static_cast<int64_t>(features));
  const ModelFile model = train(backend, config, *data.data, nullptr, {}, {}).model;
  std::vector<float> scores(4000);
  Scores out;
  out.score = scores;
  Inference(backend, model, {})
      .score({DType::kF32, false, std::as_bytes(std::span(fresh.values)), 4000}, out);
  const auto above = std::ranges::count_if(
      scores, [&](float score) { return static_cast<double>(score) > *model.threshold; });
  return static_cast<double>(above) / 4000;
}

double mean_share(const Config& asked, uint64_t rows, uint64_t features, uint64_t seeds) {
  const auto backend = create_host_backend(1);
  double sum = 0;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    Config config = asked;
    config.train.seed = seed;
    sum += flagged_share(*backend, config, rows, features, seed);
  }
  return sum / static_cast<double>(seeds);
}

Config held_out_config() {
  Config config = small_config();
  config.train.validation = "0.3";
  return config;
}

TEST(ConformalQuantile, IsTheOrderStatisticOfOneRowMore) {
  std::vector<float> values(19);
  std::iota(values.begin(), values.end(), 1.0f);
  EXPECT_EQ(conformal_quantile(values, 0.95), 19);  // 20 * 0.95, exactly
  EXPECT_EQ(conformal_quantile(values, 0.9), 18);
  EXPECT_EQ(conformal_quantile(values, 0.901), 19);
  EXPECT_EQ(conformal_quantile(values, 0.96), 19);  // would be the 20th of 19
  EXPECT_EQ(conformal_quantile(values, 1), 19);
  EXPECT_EQ(conformal_quantile(values, 0), 1);
  std::vector<float> many(99);
  std::iota(many.begin(), many.end(), 1.0f);
  EXPECT_EQ(conformal_quantile(many, 0.07), 7);
  EXPECT_THROW(conformal_quantile({}, 0.5), Error);
}

TEST(Quantile, StandsBesideInfiniteValues) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(quantile(std::vector<float>{1, 2, kInf}, 0.5), 2);
  EXPECT_EQ(quantile(std::vector<float>{1, kInf, kInf}, 0.75), kInf);
}

// The share varies from one draw of 120 rows to the next by some 2 points; its mean must not.
TEST(Threshold, FlagsTheShareAskedForAfterFewRows) {
  EXPECT_NEAR(mean_share(held_out_config(), 400, 8, 24), 0.05, 0.015);
}

TEST(Threshold, FlagsTheShareAskedForAfterManyRows) {
  EXPECT_NEAR(mean_share(held_out_config(), 20000, 8, 1), 0.05, 0.015);
}

// A network that learns its 140 rows by heart: from their scores nearly every fresh row is strange.
TEST(Threshold, FlagsTheShareAskedForWhereTheNetworkOverfits) {
  Config config = held_out_config();
  config.model.encoder.hidden = {128, 64};
  config.model.code.size = 16;
  config.train.epochs = 100;
  config.train.patience = 0;
  EXPECT_NEAR(mean_share(config, 200, 50, 8), 0.05, 0.02);
  config.train.validation.clear();
  EXPECT_GT(mean_share(config, 200, 50, 1), 0.5);
}

TEST(Threshold, SaysWhatItWasMadeFrom) {
  const auto backend = create_host_backend(1);
  const FloatData data(planar_rows(50, 6, 1), 6);
  Config config = held_out_config();
  TemporaryFolder folder;
  const auto saved = [&] {
    ModelFile model = train(*backend, config, *data.data, nullptr, {}, {}).model;
    save_model(model, folder / "model.safetensors");
    return load_model(folder / "model.safetensors");
  };
  EXPECT_EQ(saved().threshold_from, ThresholdFrom::kValidation);
  EXPECT_EQ(saved().threshold_rows, 15u);
  config.train.validation.clear();
  EXPECT_EQ(saved().threshold_from, ThresholdFrom::kTraining);
  EXPECT_EQ(saved().threshold_rows, 50u);
}

TEST(Threshold, WarnsWhereItWillNotFlagWhatIsAsked) {
  const auto said = [](std::vector<float> scores, ThresholdFrom from, double q) {
    Lines lines;
    ModelFile model;
    put_threshold(model, scores, from, q, lines.log());
    return lines.lines();
  };
  std::vector<float> scores(40);
  std::iota(scores.begin(), scores.end(), 1.0f);
  EXPECT_THAT(said(scores, ThresholdFrom::kTraining, 0.95), IsEmpty());
  EXPECT_THAT(said(scores, ThresholdFrom::kValidation, 0.95), IsEmpty());
  EXPECT_THAT(said(scores, ThresholdFrom::kValidation, 0.99),
              ElementsAre(HasSubstr("(99 are needed for quantile 0.99): about 1 in 41")));
  std::fill(scores.begin() + 20, scores.end(), 21.0f);
  EXPECT_THAT(said(scores, ThresholdFrom::kTraining, 0.95),
              ElementsAre(HasSubstr("the score of 20 of 40 rows, and 0 are above it")));
  std::fill(scores.begin() + 20, scores.end(), std::numeric_limits<float>::infinity());
  EXPECT_THAT(said(scores, ThresholdFrom::kTraining, 0.95),
              ElementsAre(HasSubstr("would be infinite")));
  scores = {1, 2, std::numeric_limits<float>::infinity()};  // and few
  EXPECT_THAT(said(scores, ThresholdFrom::kValidation, 0.95),
              ElementsAre(HasSubstr("would be infinite")));
}

TEST(Threshold, WarnsOfFewNumbersPerParameter) {
  const auto said = [](uint64_t rows) {
    Lines lines;
    const Network network = Network::of(resolved(small_config(), Scale::kStandard).model, 12);
    warn_of_training_threshold("x.npy", rows, network, lines.log());
    return lines.lines();
  };
  // 12-16-8-3-8-16-12: 811 parameters.
  EXPECT_THAT(said(200), ElementsAre(HasSubstr("--validation 0.2")));
  EXPECT_THAT(said(2000), IsEmpty());
}

// The means and deviations of the training rows alone: held-out rows must look like fresh ones.
TEST(Split, TheScalingIsFittedOnTheTrainingRows) {
  std::vector<float> rows = planar_rows(60, 5, 3);
  rows[5 * 7 + 2] = std::nanf("");  // a row that is skipped
  const FloatData data(rows, 5);
  Config config = held_out_config();
  config.data.on_bad_value = BadValue::kSkip;
  const TrainData loaded =
      load_train_data(resolved(config, Scale::kStandard), *data.data, nullptr, {});
  ASSERT_EQ(loaded.train.rows + loaded.validation->rows, 59u);
  for (size_t column = 0; column < 5; ++column) {
    double sum = 0, squares = 0;
    for (uint64_t row = 0; row < loaded.train.rows; ++row) {
      float value;
      std::memcpy(&value, loaded.train.row(row) + column * sizeof value, sizeof value);
      sum += static_cast<double>(value);
      squares += static_cast<double>(value) * static_cast<double>(value);
    }
    EXPECT_NEAR(sum / static_cast<double>(loaded.train.rows), 0, 1e-6);
    EXPECT_NEAR(squares / static_cast<double>(loaded.train.rows), 1, 1e-5);
  }
}

}  // namespace
}  // namespace diabolo
