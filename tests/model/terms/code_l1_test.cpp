// code_l1 against codes that are computed here: its value and its gradient.
#include <algorithm>
#include <cmath>

#include "train/train_test.h"

namespace diabolo {
namespace {

constexpr size_t kRows = 300, kFeatures = 12, kCode = 3;

// One linear layer, and one step over all rows.
Config linear_config() {
  Config config = small_config();
  config.data.scale = Scale::kNone;
  config.model.encoder.hidden = {};
  config.train.batch_size = kRows;
  config.train.epochs = 1;
  config.optimizer.kind = kernels::Optimizer::kSgd;
  config.optimizer.momentum = 0;
  config.optimizer.learning_rate = 1;
  return config;
}

class CodeL1 : public TrainTest {
 protected:
  std::vector<double> initial_codes(const Config& config) {
    const Network network = Network::of(resolved(config, Scale::kNone).model, kFeatures);
    const auto initial = initial_parameters(network, config.train.seed);  // weight, bias, …
    std::vector<double> codes(kRows * kCode);
    for (size_t row = 0; row < kRows; ++row)
      for (size_t k = 0; k < kCode; ++k) {
        codes[row * kCode + k] = static_cast<double>(initial[1][k]);
        for (size_t f = 0; f < kFeatures; ++f)
          codes[row * kCode + k] += static_cast<double>(data_.values[row * kFeatures + f]) *
                                    static_cast<double>(initial[0][f * kCode + k]);
      }
    return codes;
  }
};

TEST_F(CodeL1, IsTheMeanAbsoluteCode) {
  Config config = linear_config();
  double sum = 0;
  for (const double code : initial_codes(config)) sum += std::abs(code);
  set_penalty(config, kCodeL1Term, 0.7);
  const double found = term(run(config, *data_.data).metrics.front(), "code_l1");
  EXPECT_NEAR(found, 0.7 * sum / (kRows * kCode), 1e-6 * found);
}

// A code is what encode gives, whatever the decoder reads in training.
TEST_F(CodeL1, IsOfTheCodeInUse) {
  Config config = linear_config();
  double sum = 0;
  for (const double code : initial_codes(config)) sum += std::abs(code);
  config.model.code.kind = "variational";
  set_penalty(config, kCodeL1Term, 0.7);
  const double found = term(run(config, *data_.data).metrics.front(), "code_l1");
  EXPECT_NEAR(found, 0.7 * sum / (kRows * kCode), 1e-6 * found);
}

// A step of gradient descent with it, less one without: lambda / (rows K) sum sign(code) x.
TEST_F(CodeL1, MovesTheEncoderByTheSignsOfItsCodes) {
  Config config = linear_config();
  const auto codes = initial_codes(config);
  const auto plain = run(config, *data_.data).model.parameters;
  set_penalty(config, kCodeL1Term, 0.5);
  const auto found = run(config, *data_.data).model.parameters;
  constexpr double kScale = 0.5 / (kRows * kCode);
  for (size_t k = 0; k < kCode; ++k) {
    std::vector<double> expected(kFeatures + 1);  // by weights and bias
    for (size_t row = 0; row < kRows; ++row) {
      const double sign = codes[row * kCode + k] > 0 ? kScale : -kScale;
      for (size_t f = 0; f < kFeatures; ++f)
        expected[f] += sign * static_cast<double>(data_.values[row * kFeatures + f]);
      expected[kFeatures] += sign;
    }
    const auto moved = [&](size_t parameter, size_t at) {
      return static_cast<double>(plain[parameter][at]) - static_cast<double>(found[parameter][at]);
    };
    for (size_t f = 0; f < kFeatures; ++f)
      EXPECT_NEAR(moved(0, f * kCode + k), expected[f], 1e-5) << f << ", " << k;
    EXPECT_NEAR(moved(1, k), expected[kFeatures], 1e-5) << k;
  }
  EXPECT_TRUE(std::ranges::equal(found[2], plain[2]));  // the decoder's
  EXPECT_TRUE(std::ranges::equal(found[3], plain[3]));
}

// Of rows that are all the same the raw value is the same in every step and in every order of the
// rows, so that each weight shows: it is the f32 nearest to the schedule's.
TEST_F(CodeL1, HasTheWeightOfItsStepExactly) {
  std::vector<float> values;
  for (size_t row = 0; row < kRows; ++row)
    values.insert(values.end(), data_.values.begin(), data_.values.begin() + kFeatures);
  const FloatData same(values, kFeatures);
  Config config = linear_config();
  config.optimizer.learning_rate = 0;
  set_penalty(config, kCodeL1Term, 1);
  const auto raw = static_cast<float>(term(run(config, *same.data).metrics[0], "code_l1"));
  config.train.epochs = 9;
  set_penalty(config, kCodeL1Term, 0.3, 7);
  const auto metrics = run(config, *same.data).metrics;
  ASSERT_EQ(metrics.size(), 9);
  for (size_t step = 0; step < 9; ++step) {
    const auto weight = static_cast<float>(step < 7 ? 0.3 * static_cast<double>(step) / 7 : 0.3);
    EXPECT_EQ(static_cast<float>(term(metrics[step], "code_l1")), weight * raw) << step;
  }
}

}  // namespace
}  // namespace diabolo
