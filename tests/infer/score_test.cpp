// Quantiles and detection metrics against values worked out by hand or by other programs.
#include "infer/score.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "evaluate/evaluate.h"
#include "train/training_fixture.h"

namespace diabolo {
namespace {

TEST(Quantile, InterpolatesBetweenOrderStatistics) {
  const std::vector<float> values = {4, 1, 3, 2};
  EXPECT_EQ(quantile(values, 0), 1);
  EXPECT_EQ(quantile(values, 1), 4);
  EXPECT_DOUBLE_EQ(quantile(values, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(quantile(values, 0.95), 3.85);
  EXPECT_EQ(quantile(std::vector<float>{7}, 0.3), 7);
  EXPECT_THROW(quantile({}, 0.5), Error);
  EXPECT_THROW(quantile(values, 1.5), Error);
  EXPECT_THROW(quantile(std::vector<float>{std::nanf("")}, 0.5), Error);
}

TEST(Quantile, IsThatOfTheSortedValues) {
  std::mt19937 random(5);
  for (const size_t n : {1, 2, 3, 10, 101, 1000}) {
    std::vector<float> values(n);
    for (float& value : values) value = static_cast<float>(random() % 300);  // ties among them
    std::vector<float> sorted = values;
    std::ranges::sort(sorted);
    for (const double q : {0.0, 0.1, 0.5, 0.9, 0.99, 1.0}) {
      const double place = q * static_cast<double>(n - 1);
      const auto below = static_cast<size_t>(place);
      const double low = sorted[below], high = sorted[std::min(below + 1, n - 1)];
      EXPECT_EQ(quantile(values, q), low + (place - static_cast<double>(below)) * (high - low));
      const double rank = std::ceil(q * static_cast<double>(n + 1) * (1 - 1e-12));
      const double last = static_cast<double>(n) - 1;
      EXPECT_EQ(conformal_quantile(values, q),
                sorted[static_cast<size_t>(std::clamp(rank - 1, 0.0, last))]);
    }
  }
}

TEST(Auroc, CountsPairs) {
  const std::vector<uint8_t> labels = {0, 0, 1, 1};
  EXPECT_EQ(auroc(std::vector<float>{1, 2, 3, 4}, labels), 1.0);
  EXPECT_EQ(auroc(std::vector<float>{4, 3, 2, 1}, labels), 0.0);
  EXPECT_EQ(auroc(std::vector<float>{5, 5, 5, 5}, labels), 0.5);
  // scikit-learn's documentation has this example for both functions: 0.75 and 0.83…
  const std::vector<float> scores = {0.1f, 0.4f, 0.35f, 0.8f};
  EXPECT_DOUBLE_EQ(auroc(scores, labels), 0.75);
  EXPECT_NEAR(average_precision(scores, labels), 0.8333333333333333, 1e-15);
}

TEST(Auroc, AgreesWithTheDefinitionOnRandomScoresWithTies) {
  std::vector<float> scores(200);
  std::vector<uint8_t> labels(200);
  for (uint32_t i = 0; i < 200; ++i) {
    scores[i] = std::floor(10 * kernels::uniform_at({1, 1, 0}, 0, i));
    labels[i] = kernels::uniform_at({1, 2, 0}, 0, i) < 0.3f;
  }
  double wins = 0, pairs = 0;
  for (size_t p = 0; p < 200; ++p) {
    for (size_t n = 0; n < 200; ++n) {
      if (labels[p] == 0 || labels[n] != 0) continue;
      pairs += 1;
      wins += scores[p] > scores[n] ? 1 : scores[p] == scores[n] ? 0.5 : 0;
    }
  }
  EXPECT_NEAR(auroc(scores, labels), wins / pairs, 1e-12);
}

TEST(Auroc, NeedsBothKinds) {
  const std::vector<float> scores = {1, 2};
  EXPECT_THROW(auroc(scores, std::vector<uint8_t>{1, 1}), Error);
  EXPECT_THROW(average_precision(scores, std::vector<uint8_t>{0, 0}), Error);
}

TEST(AveragePrecision, TiesAreOneThreshold) {
  const std::vector<uint8_t> labels = {1, 0, 1, 0, 1};
  EXPECT_DOUBLE_EQ(average_precision(std::vector<float>{2, 2, 2, 2, 2}, labels), 0.6);
  // Thresholds 3 (precision 1/2, recall 1/3), 2 (2/4 of all, 1/3 more), 1 (3/5, 1/3 more).
  EXPECT_DOUBLE_EQ(average_precision(std::vector<float>{3, 3, 2, 2, 1}, labels),
                   (0.5 + 0.5 + 0.6) / 3);
}

// Rows of bytes and what a model of them gives, to compare evaluate with.
class EvaluateNumbers : public testing::Test {
 protected:
  static ModelFile trained(Backend& backend, const Dataset& data) {
    Config config = small_config();
    config.data.scale = Scale::kUnit;
    return train(backend, config, data, nullptr, {}, {}).model;
  }
  RawRows raw() const { return {DType::kU8, false, std::as_bytes(std::span(bytes_.values)), 60}; }

  std::unique_ptr<Backend> backend_ = create_host_backend(2);
  ByteData bytes_{60, 12, 3};
  ModelFile model_ = trained(*backend_, *bytes_.data);
};

TEST_F(EvaluateNumbers, ErrorsAndDecibelsAreTheirDefinitions) {
  const Inference inference(*backend_, model_, {});
  std::vector<float> back(bytes_.values.size());
  inference.reconstruct_scaled(raw(), back);
  double sum = 0, decibels = 0;
  for (size_t row = 0; row < 60; ++row) {
    double of_row = 0;
    for (size_t i = row * 12; i < (row + 1) * 12; ++i)
      of_row += std::pow(static_cast<double>(back[i]) - bytes_.values[i] / 255.0, 2) / 12;
    sum += of_row;
    decibels += 10 * std::log10(1 / of_row);
  }
  const nlohmann::json found = evaluate(*backend_, model_, *bytes_.data, {})["reconstruction"];
  EXPECT_NEAR(found["mse"], sum / 60, 1e-6 * sum / 60);
  EXPECT_NEAR(found["psnr_db"], 10 * std::log10(60 / sum), 1e-4);
  EXPECT_NEAR(found["psnr_images_db"], decibels / 60, 1e-4);
}

TEST_F(EvaluateNumbers, FalseAlarmsAreOfTheOrdinaryRows) {
  const Inference inference(*backend_, model_, {});
  std::vector<float> scores(60);
  Scores out;
  out.score = scores;
  inference.score(raw(), out);
  model_.threshold = quantile(scores, 0.5);
  std::vector<uint8_t> labels(60);
  int ordinary = 0, alarms = 0;
  for (size_t i = 0; i < 60; ++i) {
    labels[i] = i % 3 == 0;
    if (labels[i] != 0) continue;
    ++ordinary;
    alarms += static_cast<double>(scores[i]) > *model_.threshold;
  }
  const auto label_data =
      memory_dataset("labels", TensorDesc(DType::kU8, std::span<const int64_t>{}),
                     std::as_bytes(std::span(labels)));
  EvaluateOptions options;
  options.labels = label_data.get();
  const nlohmann::json found = evaluate(*backend_, model_, *bytes_.data, options)["anomaly"];
  EXPECT_DOUBLE_EQ(found["false_alarm_rate"], static_cast<double>(alarms) / ordinary);
  EXPECT_DOUBLE_EQ(found["auroc"], auroc(scores, labels));
}

TEST(Evaluate, ARowThatIsLeftOutTakesItsLabelAlong) {
  const auto backend = create_host_backend(1);
  const FloatData data(planar_rows(100, 12, 1), 12);
  const ModelFile model = train(*backend, small_config(), *data.data, nullptr, {}, {}).model;
  std::vector<uint8_t> labels(100);
  for (size_t i = 0; i < 100; ++i) labels[i] = i % 7 == 2;
  const auto auroc_of = [&](const std::vector<float>& rows, const std::vector<uint8_t>& kinds) {
    const FloatData some(rows, 12);
    const auto label_data =
        memory_dataset("labels", TensorDesc(DType::kU8, std::span<const int64_t>{}),
                       std::as_bytes(std::span(kinds)));
    EvaluateOptions options;
    options.labels = label_data.get();
    options.on_bad_value = BadValue::kSkip;
    return evaluate(*backend, model, *some.data, options)["anomaly"]["auroc"].get<double>();
  };
  std::vector<float> broken = data.values, without = data.values;
  std::vector<uint8_t> fewer = labels;
  broken[12 * 5 + 1] = std::nanf("");
  without.erase(without.begin() + 12 * 5, without.begin() + 12 * 6);
  fewer.erase(fewer.begin() + 5);
  EXPECT_EQ(auroc_of(broken, labels), auroc_of(without, fewer));
}

// More rows than are looked at together; all that is strange is in the second block.
TEST(Evaluate, LabelsAreThoseOfTheirRowsInEveryBlock) {
  constexpr int64_t kFeatures = 2048;
  constexpr size_t kRows = 1100, kOrdinary = 1050;
  const auto backend = create_host_backend(2);
  std::vector<float> rows = planar_rows(kRows, kFeatures, 1);
  for (size_t i = kOrdinary * kFeatures; i < rows.size(); i += 2) rows[i] += 50;
  std::vector<uint8_t> labels(kRows, 0);
  std::fill(labels.begin() + kOrdinary, labels.end(), uint8_t{1});
  Config config = small_config();
  config.model.encoder.hidden = {4};
  config.train.epochs = 1;
  const FloatData ordinary({rows.begin(), rows.begin() + 50 * kFeatures}, kFeatures);
  const ModelFile model = train(*backend, config, *ordinary.data, nullptr, {}, {}).model;
  const FloatData all(rows, kFeatures);
  const auto label_data =
      memory_dataset("labels", TensorDesc(DType::kU8, std::span<const int64_t>{}),
                     std::as_bytes(std::span(labels)));
  EvaluateOptions options;
  options.labels = label_data.get();
  EXPECT_EQ(evaluate(*backend, model, *all.data, options)["anomaly"]["auroc"], 1.0);
}

// Its square leaves f32: there is no mean over such rows, but nothing is more of an anomaly.
TEST(Evaluate, ARowWhoseScoreIsInfiniteRanksFirstAndIsInNoMean) {
  const auto backend = create_host_backend(1);
  const FloatData data(planar_rows(100, 12, 1), 12);
  const ModelFile model = train(*backend, small_config(), *data.data, nullptr, {}, {}).model;
  std::vector<float> rows = data.values;
  rows[12 * 5 + 1] = 1e30f;
  const FloatData broken(rows, 12);
  rows.erase(rows.begin() + 12 * 5, rows.begin() + 12 * 6);
  const FloatData without(rows, 12);
  std::vector<std::string> warnings;
  EvaluateOptions options;
  options.pca_from = data.data.get();
  options.log = Log([&](LogLevel level, std::string_view text) {
    if (level == LogLevel::kWarning) warnings.emplace_back(text);
  });
  const nlohmann::json expected = evaluate(*backend, model, *without.data, options);
  EXPECT_EQ(expected["rows_infinite"], 0);
  EXPECT_TRUE(warnings.empty());
  std::vector<uint8_t> labels(100, 0);
  labels[5] = 1;
  const auto label_data =
      memory_dataset("labels", TensorDesc(DType::kU8, std::span<const int64_t>{}),
                     std::as_bytes(std::span(labels)));
  options.labels = label_data.get();
  for (const BadValue policy : {BadValue::kError, BadValue::kZero, BadValue::kSkip}) {
    warnings.clear();
    options.on_bad_value = policy;
    const nlohmann::json found = evaluate(*backend, model, *broken.data, options);
    EXPECT_EQ(found["rows"], 100);
    EXPECT_EQ(found["rows_infinite"], 1);
    EXPECT_EQ(found["rows_skipped"], 0);
    EXPECT_EQ(found["reconstruction"], expected["reconstruction"]);
    EXPECT_EQ(found["pca"], expected["pca"]);
    EXPECT_EQ(found["anomaly"]["auroc"], 1.0);
    EXPECT_EQ(found["anomaly"]["average_precision"], 1.0);
    ASSERT_EQ(warnings.size(), 1u);
    EXPECT_NE(warnings[0].find("1 of 100 rows have a score of inf, the first is row 5"),
              std::string::npos)
        << warnings[0];
  }
}

TEST(Evaluate, RowsLeftOutAreCountedInAWarning) {
  const auto backend = create_host_backend(1);
  const FloatData data(planar_rows(100, 12, 1), 12);
  const ModelFile model = train(*backend, small_config(), *data.data, nullptr, {}, {}).model;
  std::vector<float> rows = data.values;
  rows[12 * 5 + 1] = rows[12 * 50] = std::numeric_limits<float>::quiet_NaN();
  const FloatData broken(rows, 12);
  std::string warned;
  EvaluateOptions options;
  options.on_bad_value = BadValue::kSkip;
  options.log = Log([&](LogLevel, std::string_view text) { warned += text; });
  EXPECT_EQ(evaluate(*backend, model, *broken.data, options)["rows"], 98);
  EXPECT_NE(warned.find("2 of 100 rows have bad values and are left out"), std::string::npos)
      << warned;
  // PCA's rows have a policy of their own.
  options = {};
  options.pca_from = broken.data.get();
  EXPECT_THROW(evaluate(*backend, model, *data.data, options), Error);
  options.pca_on_bad_value = BadValue::kSkip;
  EXPECT_TRUE(evaluate(*backend, model, *data.data, options).contains("pca"));
}

TEST(Evaluate, SaysWhatAppliesAndNothingElse) {
  const auto backend = create_host_backend(2);
  const FloatData data(planar_rows(300, 12, 1), 12);
  Config config = small_config();
  config.train.epochs = 30;
  const ModelFile model = train(*backend, config, *data.data, nullptr, {}, {}).model;
  // Half of the rows lie on another plane.
  std::vector<float> mixed = planar_rows(100, 12, 1), strange = planar_rows(100, 12, 9);
  mixed.insert(mixed.end(), strange.begin(), strange.end());
  const FloatData test(mixed, 12);
  std::vector<uint8_t> labels(200, 0);
  std::fill(labels.begin() + 100, labels.end(), uint8_t{3});
  const auto label_data =
      memory_dataset("labels", TensorDesc(DType::kU8, std::span<const int64_t>{}),
                     std::as_bytes(std::span(labels)));
  EvaluateOptions options;
  nlohmann::json json = evaluate(*backend, model, *test.data, options);
  EXPECT_EQ(json["rows"], 200);
  EXPECT_EQ(json.size(), 5u);
  EXPECT_FALSE(json["reconstruction"].contains("psnr_db"));  // standard scale
  options.labels = label_data.get();
  options.pca_from = data.data.get();
  json = evaluate(*backend, model, *test.data, options);
  EXPECT_EQ(json["pca"]["code_size"], 3);
  EXPECT_LT(json["pca"]["mse"], json["reconstruction"]["mse"]);
  EXPECT_GT(json["anomaly"]["auroc"], 0.8);
  EXPECT_GT(json["anomaly"]["average_precision"], 0.8);
  EXPECT_EQ(json["anomaly"]["threshold"], *model.threshold);
  EXPECT_LT(json["anomaly"]["false_alarm_rate"], 0.2);

  labels.pop_back();
  const auto short_labels =
      memory_dataset("labels", TensorDesc(DType::kU8, std::span<const int64_t>{}),
                     std::as_bytes(std::span(labels)));
  options.labels = short_labels.get();
  EXPECT_THROW(evaluate(*backend, model, *test.data, options), Error);
}

}  // namespace
}  // namespace diabolo
