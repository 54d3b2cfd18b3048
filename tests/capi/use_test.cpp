// The C interface used as it is meant to be.
#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>
#include <utility>

#include "capi/small_model.h"

namespace diabolo_test {
namespace {

using Use = SmallModel;

std::vector<float> encode(const diabolo_model* model, const std::vector<float>& values) {
  const diabolo_rows rows = view(values);
  std::vector<float> codes(rows.count * kCodeSize);
  EXPECT_EQ(diabolo_encode(model, &rows, codes.data(), codes.size()), DIABOLO_OK)
      << diabolo_last_error();
  return codes;
}

TEST(Version, IsTheHeadersAbi) {
  EXPECT_EQ(diabolo_abi_version(), uint32_t{DIABOLO_ABI_VERSION});
  EXPECT_GE(std::strlen(diabolo_version()), 5u);
}

TEST_F(Use, InspectSaysWhatTheModelIs) {
  auto info = sized<diabolo_model_info>();
  ASSERT_EQ(diabolo_model_inspect(model, &info), DIABOLO_OK);
  EXPECT_EQ(info.features, kFeatures);
  EXPECT_EQ(info.code_size, kCodeSize);
  EXPECT_EQ(info.row_rank, 1u);
  EXPECT_EQ(info.row_shape[0], kFeatures);
  EXPECT_EQ(info.row_shape[1], 0u);
  EXPECT_EQ(info.row_dtype, DIABOLO_F32);
  EXPECT_EQ(info.training_rows, kRows);
  EXPECT_EQ(info.epochs, 3u);
  // 12-16-3-16-12: weights and biases.
  EXPECT_EQ(info.parameters, 12u * 16 + 16 + 16 * 3 + 3 + 3 * 16 + 16 + 16 * 12 + 12);
  EXPECT_GT(info.device_bytes, info.parameters * sizeof(float));
  EXPECT_EQ(info.threshold_quantile, 0.95);
  EXPECT_EQ(info.threshold_rows, kRows);
  EXPECT_EQ(info.threshold_validation, 0u);
}

TEST_F(Use, ContextSaysWhereItComputes) {
  auto info = sized<diabolo_device_info>();
  ASSERT_EQ(diabolo_context_info(context, &info), DIABOLO_OK);
  EXPECT_EQ(info.is_cuda, 0);
  EXPECT_EQ(info.threads, 1u);
  EXPECT_GT(info.memory_bytes, 0u);
  EXPECT_GT(std::strlen(info.name), 0u);
}

TEST_F(Use, OutputSizes) {
  const std::pair<diabolo_verb, uint64_t> widths[] = {{DIABOLO_ENCODE, kCodeSize},
                                                      {DIABOLO_DECODE, kFeatures},
                                                      {DIABOLO_RECONSTRUCT, kFeatures},
                                                      {DIABOLO_SCORE, 1}};
  for (const auto& [verb, width] : widths) {
    uint64_t numbers = 99;
    ASSERT_EQ(diabolo_output_size(model, verb, 7, &numbers), DIABOLO_OK);
    EXPECT_EQ(numbers, 7 * width);
    ASSERT_EQ(diabolo_output_size(model, verb, 0, &numbers), DIABOLO_OK);
    EXPECT_EQ(numbers, 0u);
  }
}

TEST_F(Use, LoadedModelGivesTheSameBits) {
  const Folder folder;
  const std::string path = folder.file("model.safetensors");
  ASSERT_EQ(diabolo_model_save(model, path.c_str()), DIABOLO_OK) << diabolo_last_error();
  diabolo_model* loaded = nullptr;
  ASSERT_EQ(diabolo_model_load(context, path.c_str(), nullptr, &loaded), DIABOLO_OK)
      << diabolo_last_error();
  const std::vector<float> values = wave_rows(100);
  EXPECT_EQ(encode(model, values), encode(loaded, values));
  EXPECT_EQ(diabolo_model_destroy(loaded), DIABOLO_OK);
}

TEST_F(Use, ARowsCodeDoesNotDependOnItsBatch) {
  const std::vector<float> values = wave_rows(700);
  const std::vector<float> together = encode(model, values);
  for (const uint64_t row : {0u, 33u, 699u}) {
    const std::vector<float> one(values.begin() + static_cast<ptrdiff_t>(row * kFeatures),
                                 values.begin() + static_cast<ptrdiff_t>((row + 1) * kFeatures));
    const std::vector<float> code = encode(model, one);
    EXPECT_EQ(
        std::memcmp(code.data(), together.data() + row * kCodeSize, kCodeSize * sizeof(float)), 0)
        << "row " << row;
  }
}

TEST_F(Use, DecodedCodesAreTheReconstruction) {
  const std::vector<float> values = wave_rows(50);
  const diabolo_rows rows = view(values);
  const std::vector<float> codes = encode(model, values);
  std::vector<float> decoded(values.size()), reconstructed(values.size());
  ASSERT_EQ(diabolo_decode(model, codes.data(), rows.count, decoded.data(), decoded.size()),
            DIABOLO_OK)
      << diabolo_last_error();
  ASSERT_EQ(diabolo_reconstruct(model, &rows, reconstructed.data(), reconstructed.size()),
            DIABOLO_OK)
      << diabolo_last_error();
  EXPECT_EQ(decoded, reconstructed);
}

TEST_F(Use, ScoreIsTheMeanOfTheFeaturesErrors) {
  const std::vector<float> values = wave_rows(40);
  const diabolo_rows rows = view(values);
  std::vector<float> scores(40), all_scores(40), errors(40 * kFeatures);
  std::vector<uint32_t> features(40 * kFeatures);
  ASSERT_EQ(diabolo_score(model, &rows, scores.data(), scores.size()), DIABOLO_OK);
  ASSERT_EQ(diabolo_score_features(model, &rows, kFeatures, all_scores.data(), 40, features.data(),
                                   errors.data(), errors.size()),
            DIABOLO_OK)
      << diabolo_last_error();
  EXPECT_EQ(scores, all_scores);
  for (size_t row = 0; row < 40; ++row) {
    const auto first = errors.begin() + static_cast<ptrdiff_t>(row * kFeatures);
    EXPECT_TRUE(std::is_sorted(first, first + kFeatures, std::greater<>()));
    const double mean = std::accumulate(first, first + kFeatures, 0.0) / kFeatures;
    EXPECT_NEAR(scores[row], mean, 1e-5 * mean);  // sums in another order
  }
}

TEST_F(Use, ThresholdIsTheQuantileOfTheTrainingScores) {
  const std::vector<float> values = wave_rows(kRows);
  const diabolo_rows rows = view(values);
  std::vector<float> scores(kRows);
  ASSERT_EQ(diabolo_score(model, &rows, scores.data(), kRows), DIABOLO_OK);
  auto info = sized<diabolo_model_info>();
  ASSERT_EQ(diabolo_model_inspect(model, &info), DIABOLO_OK);
  const auto above = std::ranges::count_if(scores, [&](float s) { return s > info.threshold; });
  EXPECT_EQ(above, kRows / 20);
}

TEST_F(Use, ValuesCountNotTypes) {
  std::vector<float> floats;
  std::vector<double> doubles;
  std::vector<int8_t> bytes;
  for (int i = 0; i < 10 * static_cast<int>(kFeatures); ++i) {
    bytes.push_back(static_cast<int8_t>(i - 50));
    floats.push_back(bytes.back());
    doubles.push_back(bytes.back());
  }
  const std::vector<float> expected = encode(model, floats);
  for (const bool is_double : {false, true}) {
    diabolo_rows rows = view(floats);
    rows.data = is_double ? static_cast<const void*>(doubles.data()) : bytes.data();
    rows.dtype = is_double ? DIABOLO_F64 : DIABOLO_I8;
    std::vector<float> codes(10 * kCodeSize);
    ASSERT_EQ(diabolo_encode(model, &rows, codes.data(), codes.size()), DIABOLO_OK);
    // f64 is scaled in double, so that its last digit may differ.
    for (size_t i = 0; i < codes.size(); ++i)
      EXPECT_NEAR(codes[i], expected[i], is_double ? 1e-5 * (1 + std::abs(expected[i])) : 0);
  }
}

TEST_F(Use, RowsNeedNoAlignment) {
  const std::vector<float> values = wave_rows(5);
  std::vector<char> shifted(values.size() * sizeof(float) + 1);
  std::memcpy(shifted.data() + 1, values.data(), values.size() * sizeof(float));
  diabolo_rows rows = view(values);
  rows.data = shifted.data() + 1;
  std::vector<float> codes(5 * kCodeSize);
  ASSERT_EQ(diabolo_encode(model, &rows, codes.data(), codes.size()), DIABOLO_OK);
  EXPECT_EQ(codes, encode(model, values));
}

TEST_F(Use, OutputsComeOneByOneInTheirTypes) {
  const std::vector<float> values = wave_rows(5);
  const diabolo_rows rows = view(values);
  const diabolo_rows* const in[] = {&rows, &rows};
  std::vector<float> codes(5 * kCodeSize);
  auto output = sized<diabolo_output>();
  output.dtype = DIABOLO_F32;
  output.data = codes.data();
  output.room = codes.size();
  const diabolo_output* const out[] = {&output, &output};
  ASSERT_EQ(diabolo_run(model, DIABOLO_ENCODE, in, 1, nullptr, out, 1), DIABOLO_OK)
      << diabolo_last_error();
  EXPECT_EQ(codes, encode(model, values));
  EXPECT_EQ(diabolo_run(model, DIABOLO_ENCODE, in, 2, nullptr, out, 1), DIABOLO_USAGE);
  EXPECT_EQ(diabolo_run(model, DIABOLO_ENCODE, in, 1, nullptr, out, 2), DIABOLO_USAGE);
  EXPECT_EQ(diabolo_run(model, DIABOLO_ENCODE, nullptr, 1, nullptr, out, 1), DIABOLO_USAGE);
  EXPECT_EQ(diabolo_run(model, DIABOLO_ENCODE, in, 1, nullptr, nullptr, 1), DIABOLO_USAGE);
  output.room -= 1;
  EXPECT_EQ(diabolo_run(model, DIABOLO_ENCODE, in, 1, nullptr, out, 1), DIABOLO_USAGE);
  output.room += 1;
  output.dtype = DIABOLO_U32;
  EXPECT_EQ(diabolo_run(model, DIABOLO_ENCODE, in, 1, nullptr, out, 1), DIABOLO_USAGE);
  EXPECT_STREQ(diabolo_last_error(), "diabolo_run: codes: expected output.dtype f32, found u32");
}

TEST_F(Use, NoRowsNoWork) {
  const diabolo_rows none = diabolo_rows_f32(nullptr, 0, kFeatures);
  EXPECT_EQ(diabolo_encode(model, &none, nullptr, 0), DIABOLO_OK);
  EXPECT_EQ(diabolo_reconstruct(model, &none, nullptr, 0), DIABOLO_OK);
  EXPECT_EQ(diabolo_score(model, &none, nullptr, 0), DIABOLO_OK);
  EXPECT_EQ(diabolo_decode(model, nullptr, 0, nullptr, 0), DIABOLO_OK);
}

TEST_F(Use, AModelOutlivesItsContext) {
  diabolo_context* own = cpu_context();
  diabolo_model* mine = train_small(own);
  ASSERT_EQ(diabolo_context_destroy(own), DIABOLO_OK);
  const std::vector<float> values = wave_rows(40);
  EXPECT_EQ(encode(mine, values), encode(model, values));
  EXPECT_EQ(diabolo_model_destroy(mine), DIABOLO_OK);
}

TEST(Log, ReceivesLines) {
  std::vector<std::string> lines;
  auto options = sized<diabolo_context_options>();
  options.log = [](diabolo_log_level, const char* line, void* user) {
    static_cast<std::vector<std::string>*>(user)->push_back(line);
  };
  options.log_user = &lines;
  diabolo_context* context = nullptr;
  ASSERT_EQ(diabolo_context_create(&options, &context), DIABOLO_OK);
  EXPECT_EQ(diabolo_context_destroy(context), DIABOLO_OK);
  ASSERT_EQ(lines.size(), 1u);  // what "auto" has chosen, and why
  EXPECT_EQ(lines[0].rfind("device: ", 0), 0u) << lines[0];
}

}  // namespace
}  // namespace diabolo_test
