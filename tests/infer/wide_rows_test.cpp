// What is far from the others in digits that f32 does not have is seen, in files and in memory.
#include <gtest/gtest.h>

#include <algorithm>

#include "infer/inference.h"
#include "jobs/encode_pipeline.h"
#include "train/training_fixture.h"

namespace diabolo {
namespace {

constexpr uint64_t kRows = 600;
constexpr uint64_t kWidth = 4;

// Rows around base with deviation `step`; the last one is 20 deviations off in one feature.
template <class T>
std::vector<T> rows_around(double base, double step) {
  std::vector<T> rows;
  for (uint32_t r = 0; r < kRows; ++r)
    for (uint64_t f = 0; f < kWidth; ++f)
      rows.push_back(static_cast<T>(base + step * kernels::normal_at({9, 1, 0}, r, f)));
  rows.back() = static_cast<T>(base + 20 * step);
  return rows;
}

template <class T>
void expect_seen(DType dtype, double base, double step, Scale scale) {
  SCOPED_TRACE(cat(name(dtype), " near ", base, ", scale ", name(scale)));
  const std::vector<T> rows = rows_around<T>(base, step);
  const TensorDesc row(dtype, {kWidth});
  const auto bytes = std::as_bytes(std::span(rows));
  const auto ordinary = memory_dataset("rows", row, bytes.first((kRows - 1) * row.bytes()));
  Config config = small_config();
  config.data.scale = scale;
  config.model.code.size = 2;
  const auto backend = create_host_backend(1);
  ModelFile trained = train(*backend, config, *ordinary, nullptr, {}, {}).model;
  const TemporaryFolder folder;
  save_model(trained, folder / "model.safetensors");
  const ModelFile model = load_model(folder / "model.safetensors");
  std::vector<float> scores(kRows);
  Inference(*backend, model, {}).score({dtype, false, bytes, kRows}, {scores, 0, {}, {}});
  const float most = *std::max_element(scores.begin(), scores.end() - 1);
  EXPECT_GT(scores.back(), 5 * most);
  EXPECT_GT(static_cast<double>(scores.back()), *model.threshold);

  PipelineOptions options;
  options.task = &kScoreTask;
  options.output = folder / "scores.npy";
  const auto all = memory_dataset("rows", row, bytes);
  run_pipeline(*backend, model, *all, options);
  std::vector<float> from_file(kRows);
  open_dataset(options.output)->read(0, 0, kRows, std::as_writable_bytes(std::span(from_file)));
  EXPECT_EQ(from_file, scores);
}

TEST(WideRows, AnOutlierInDigitsBeyondF32IsSeen) {
  expect_seen<double>(DType::kF64, 1e9, 1, Scale::kStandard);
  expect_seen<double>(DType::kF64, 1e9, 1, Scale::kMinmax);
  expect_seen<int64_t>(DType::kI64, 1e12, 100, Scale::kStandard);
  expect_seen<int64_t>(DType::kI64, 1e12, 100, Scale::kMinmax);
  expect_seen<int32_t>(DType::kI32, 2e9, 20, Scale::kStandard);
  expect_seen<uint32_t>(DType::kU32, 4e9, 20, Scale::kMinmax);
}

}  // namespace
}  // namespace diabolo
