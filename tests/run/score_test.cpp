// Quantiles, detection metrics and PCA against values worked out by hand or by other programs.
#include "run/score.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "run/evaluate.h"
#include "run/pca.h"
#include "run/training_fixture.h"

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

TEST(Pca, FindsThePlane) {
  const std::vector<float> rows = planar_rows(400, 9, 4);
  Pca pca(9);
  pca.add(std::span(rows).first(9 * 150));
  pca.add(std::span(rows).subspan(9 * 150));
  std::vector<float> back(rows.size());
  const auto mse = [&](int64_t components) {
    pca.fit(components);
    pca.reconstruct(rows, back);
    double sum = 0;
    for (size_t i = 0; i < rows.size(); ++i)
      sum += std::pow(static_cast<double>(back[i] - rows[i]), 2);
    return sum / static_cast<double>(rows.size());
  };
  EXPECT_LT(mse(3), 1e-12);  // the rows have three dimensions
  EXPECT_GT(mse(2), 1e-3);
  EXPECT_GT(mse(1), mse(2));
  pca.fit(100);
  EXPECT_EQ(pca.components(), 9);
}

// A large mean must not cost digits.
TEST(Pca, SurvivesALargeMean) {
  std::vector<float> rows = planar_rows(300, 4, 4);
  for (float& value : rows) value += 1000;
  Pca pca(4);
  pca.add(rows);
  pca.fit(3);
  std::vector<float> back(rows.size());
  pca.reconstruct(rows, back);
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_NEAR(back[i], rows[i], 2e-4);
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
  EXPECT_EQ(json.size(), 2u);
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
