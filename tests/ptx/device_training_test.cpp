// A short training of preset `dense` and an encoding with it, every kernel of both as PTX.
#include <gmock/gmock.h>

#include <algorithm>

#include "fake_cuda/fake_cuda.h"
#include "infer/inference.h"
#include "model/presets.h"
#include "train/training_fixture.h"

namespace diabolo {
namespace {

constexpr int64_t kFeatures = 40;
constexpr uint64_t kRows = 72;  // two batches of 32 and one of 8

class PtxTraining : public testing::TestWithParam<Precision> {
 protected:
  static std::vector<float> codes_of(Backend& backend, const ModelFile& model) {
    InferenceOptions options;
    options.precision = GetParam();
    const Inference inference(backend, model, options);
    const std::vector<float> rows = planar_rows(kRows, kFeatures, 2);
    std::vector<float> codes(kRows * static_cast<size_t>(inference.code_size()));
    inference.encode({DType::kF32, false, std::as_bytes(std::span(rows)), kRows}, codes);
    return codes;
  }

  // One model, rows that it was not trained on.
  static void expect_codes_as_on_the_host(const ModelFile& model, Backend& device, Backend& host) {
    const std::vector<float> there = codes_of(device, model), here = codes_of(host, model);
    float largest = 0;
    for (const float code : here) largest = std::max(largest, std::abs(code));
    ASSERT_GT(largest, 0);
    const float bound = largest * (GetParam() == Precision::kF32 ? 1e-5f : 2e-2f);
    EXPECT_THAT(there, testing::Pointwise(testing::FloatNear(bound), here));
  }
};

TEST_P(PtxTraining, DensePresetIsAsOnTheHost) {
  fake_cuda::reset();
  const FloatData data(planar_rows(kRows, kFeatures, 1), kFeatures);
  Config config = preset_config("dense");
  config.train.epochs = 2;
  config.train.batch_size = 32;
  config.train.precision = GetParam();
  const auto device = create_cuda_backend(), host = create_host_backend();
  const TrainResult there = train(*device, config, *data.data, nullptr, {}, {});
  const TrainResult here = train(*host, config, *data.data, nullptr, {}, {});
  // Sums of bf16 products differ in their order only; Adam makes steps of a gradient's last bits.
  const double relative = GetParam() == Precision::kF32 ? 1e-3 : 1e-2;
  ASSERT_EQ(there.metrics.size(), here.metrics.size());
  for (size_t epoch = 0; epoch < here.metrics.size(); ++epoch)
    EXPECT_NEAR(there.metrics[epoch].loss / here.metrics[epoch].loss, 1, relative) << epoch;
  EXPECT_LT(there.metrics.back().loss, there.metrics.front().loss);
  expect_codes_as_on_the_host(here.model, *device, *host);
  EXPECT_THAT(fake_cuda::violations(), testing::IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Precisions, PtxTraining,
                         testing::Values(Precision::kF32, Precision::kBf16));

}  // namespace
}  // namespace diabolo
