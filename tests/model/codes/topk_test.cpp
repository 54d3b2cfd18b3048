// The code "topk": what is kept, what is trained, what its key does.
#include <gmock/gmock.h>

#include "infer/inference.h"
#include "model/config_toml.h"
#include "train/train_test.h"

namespace diabolo {
namespace {

using testing::HasSubstr;

constexpr size_t kRows = 300, kFeatures = 12, kCode = 16;

class Topk : public TrainTest {
 protected:
  Topk() {
    config_.model.code.size = kCode;
    set_config_text(config_, "model.code.kind", "topk");
    set_config_text(config_, "model.code.k", "3");
  }

  RawRows rows() const {
    return {DType::kF32, false, std::as_bytes(std::span(data_.values)), kRows};
  }
  std::vector<float> codes_of(const ModelFile& model) {
    std::vector<float> out(kRows * kCode);
    Inference(*backend_, model, {}).encode(rows(), out);
    return out;
  }

  Config config_ = small_config();
};

TEST_F(Topk, KeepsTheLargestOfWhatThePlainCodeIs) {
  const ModelFile model = run(config_, *data_.data).model;
  ModelFile plain = model;
  plain.config.model.code.kind = "plain";
  plain.config.model.options.clear();
  plain.states.clear();
  const auto all = codes_of(plain), kept = codes_of(model);
  for (size_t row = 0; row < kRows; ++row) {
    std::vector<size_t> order(kCode);
    for (size_t k = 0; k < kCode; ++k) order[k] = k;
    const float* values = all.data() + row * kCode;
    std::ranges::stable_sort(order, std::greater<>(), [&](size_t k) { return values[k]; });
    for (size_t place = 0; place < kCode; ++place) {
      const size_t k = order[place];
      ASSERT_EQ(kept[row * kCode + k], place < 3 ? values[k] : 0) << row << " " << k;
    }
  }
}

TEST_F(Topk, DecodesAsItReconstructs) {
  const ModelFile model = run(config_, *data_.data).model;
  const Inference inference(*backend_, model, {});
  std::vector<float> whole(kRows * kFeatures), decoded(whole.size());
  inference.reconstruct(rows(), whole);
  inference.decode(codes_of(model), decoded);
  EXPECT_EQ(decoded, whole);
}

// Three numbers of sixteen are enough for rows near a plane of three dimensions.
TEST_F(Topk, LearnsInEveryPrecision) {
  config_.train.epochs = 30;
  config_.train.validation = "0.2";
  for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
    config_.train.precision = precision;
    const auto metrics = run(config_, *data_.data).metrics;
    EXPECT_LT(metrics.back().loss, 0.5 * metrics.front().loss);
    EXPECT_LT(*metrics.back().validation_loss, 0.6 * *metrics.front().validation_loss);
  }
}

TEST_F(Topk, MeasuresItsUnits) {
  config_.train.epochs = 2;
  config_.train.batch_size = kRows;  // one step an epoch
  config_.optimizer.kind = kernels::Optimizer::kSgd;
  config_.optimizer.learning_rate = 0;
  set_config_text(config_, "model.code.dead_after_rows", "600");
  const TrainResult result = run(config_, *data_.data);
  const auto codes = codes_of(result.model);
  double numbers = 0, unused = 0;
  for (size_t k = 0; k < kCode; ++k) {
    size_t used = 0;
    for (size_t row = 0; row < kRows; ++row) used += codes[row * kCode + k] != 0;
    numbers += static_cast<double>(used);
    unused += used == 0;
    EXPECT_EQ(result.model.states[0][k], used == 0 ? 600 : 0) << k;
  }
  ASSERT_GT(unused, 0);
  for (const EpochMetrics& line : result.metrics)
    EXPECT_NEAR(term(line, "l0"), numbers / kRows, 1e-5);
  EXPECT_EQ(term(result.metrics[0], "dead_share"), 0) << "300 rows are too few to tell";
  EXPECT_NEAR(term(result.metrics[1], "dead_share"), unused / kCode, 1e-6);
}

TEST_F(Topk, ItsKeyIsForItAloneAndFitsTheCode) {
  EXPECT_THAT(config_toml(config_), HasSubstr("k = 3"));
  set_config_text(config_, "model.code.k", "17");
  const Error error = error_of(config_, *data_.data);
  EXPECT_EQ(error.code(), ErrorCode::kUsage);
  EXPECT_THAT(error.what(), HasSubstr("model.code.k: expected at most 16, the numbers of a code"));
  config_.model.code.kind = "plain";
  EXPECT_THAT(error_of(config_, *data_.data).what(), HasSubstr("k: means nothing"));
}

TEST_F(Topk, ResumedItHasTheBitsOfOneThatWasNotStopped) {
  const TemporaryFolder folder;
  const auto run_in = [&](const std::string& name, RunUse use, uint64_t stop) {
    TrainOptions options;
    options.directory = open_run_directory(folder / name, use);
    options.resume = use == RunUse::kResume;
    options.max_steps_per_launch = 1;
    TrainCallbacks callbacks;
    callbacks.progress = [=](const TrainProgress& now) { return stop == 0 || now.step < stop; };
    return run(config_, *data_.data, options, nullptr, callbacks).model;
  };
  const ModelFile whole = run_in("whole", RunUse::kNew, 0);
  run_in("stopped", RunUse::kNew, 7);
  const ModelFile rest = run_in("stopped", RunUse::kResume, 0);
  EXPECT_EQ(bits_of(rest), bits_of(whole));
  EXPECT_EQ(rest.states, whole.states);
}

}  // namespace
}  // namespace diabolo
