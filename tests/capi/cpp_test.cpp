// diabolo.hpp: what it adds to the C interface.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <type_traits>

#include "diabolo/diabolo.hpp"

namespace diabolo_test {
namespace {

using diabolo::Context;
using diabolo::Error;
using diabolo::Model;
using diabolo::Rows;
using diabolo::TrainOptions;

constexpr uint64_t kFeatures = 6;

std::vector<float> waves(int rows) {
  std::vector<float> out;
  for (int row = 0; row < rows; ++row)
    for (int i = 0; i < static_cast<int>(kFeatures); ++i)
      out.push_back(std::sin(0.1f * static_cast<float>(row) + static_cast<float>(i)));
  return out;
}

TrainOptions quick() {
  TrainOptions options;
  options.settings = {"model.encoder.hidden=[8]"};
  options.epochs = 2;
  options.code_size = 2;
  return options;
}

template <class Function>
diabolo_status status_of(const Function& function) {
  try {
    function();
    return DIABOLO_OK;
  } catch (const Error& error) {
    EXPECT_STRNE(error.what(), "");
    return error.status();
  }
}

// What outlives the expression may be borrowed, nothing else.
template <class Values>
constexpr bool kMakesRows = std::is_constructible_v<Rows, Values, uint64_t>&&
    std::is_constructible_v<Rows, Values, std::initializer_list<uint64_t>>;
template <class Values>
constexpr bool kMakesNoRows =
    !std::is_constructible_v<Rows, Values, uint64_t> &&
    !std::is_constructible_v<Rows, Values, std::initializer_list<uint64_t>>;
static_assert(kMakesRows<std::vector<float>&> && kMakesRows<const std::vector<double>&>);
static_assert(kMakesRows<std::array<uint8_t, 6>&> && kMakesRows<const int (&)[6]>);
static_assert(kMakesRows<std::span<const float>> && kMakesRows<std::span<int16_t>&>);
static_assert(kMakesNoRows<std::vector<float>> && kMakesNoRows<const std::vector<float>>);
static_assert(kMakesNoRows<std::array<float, 6>> && kMakesNoRows<std::string>);
static_assert(!std::is_assignable_v<decltype(TrainOptions::validation)&, std::vector<float>>);

// Outputs are never temporaries; what is only read within a call may be one.
template <class Codes>
constexpr bool kTakesCodes = requires(const Model& model, const Rows& rows, Codes codes) {
  model.encode(rows, std::forward<Codes>(codes));
};
template <class Codes>
constexpr bool kTakesDeviceCodes = requires(const Model& model, const Rows& rows, Codes codes) {
  model.encode_device(rows, std::forward<Codes>(codes), nullptr);
};
static_assert(kTakesCodes<std::vector<float>&> && !kTakesCodes<std::vector<float>&&>);
static_assert(kTakesDeviceCodes<std::span<float>> && !kTakesDeviceCodes<std::vector<float>&&>);

class Cpp : public testing::Test {
 protected:
  const Context context = Context({.device = "cpu", .threads = 1});
  const std::vector<float> values = waves(100);
  const Rows rows = Rows(values, kFeatures);
};

TEST_F(Cpp, ALifeOfAModel) {
  diabolo_train_result result{};
  Model model = Model::train(context, rows, quick(), &result);
  EXPECT_EQ(result.epochs, 2u);
  EXPECT_EQ(model.info().code_size, 2u);
  const std::vector<float> codes = model.encode(rows);
  EXPECT_EQ(codes.size(), 200u);
  EXPECT_EQ(model.decode(codes), model.reconstruct(rows));
  const diabolo::FeatureScores worst = model.score_features(rows, 3);
  EXPECT_EQ(worst.scores, model.score(rows));
  EXPECT_EQ(worst.features.size(), 300u);

  const std::string path = std::filesystem::temp_directory_path() / "diabolo_cpp_test.model";
  model.save(path);
  const Model loaded = Model::load(context, path);
  EXPECT_EQ(loaded.encode(rows), codes);
  std::filesystem::remove(path);

  const Model moved = std::move(model);
  EXPECT_EQ(moved.encode(rows), codes);
}

TEST_F(Cpp, FailuresAreExceptionsWithAStatus) {
  EXPECT_EQ(status_of([] { (void)Context({.device = "abacus"}); }), DIABOLO_USAGE);
  EXPECT_EQ(status_of([&] { (void)Model::load(context, "/no/such"); }), DIABOLO_MODEL);
  EXPECT_EQ(status_of([&] { (void)Rows(values, 7); }), DIABOLO_USAGE);
  EXPECT_EQ(status_of([&] { (void)Rows(values, 0); }), DIABOLO_USAGE);
  EXPECT_EQ(status_of([&] { (void)Rows(values, {1, 1, 1, 1, 1}); }), DIABOLO_USAGE);
  const Model model = Model::train(context, rows, quick());
  std::vector<float> short_codes(1);
  EXPECT_EQ(status_of([&] { model.encode(rows, short_codes); }), DIABOLO_USAGE);
  EXPECT_EQ(status_of([&] { (void)model.decode(short_codes); }), DIABOLO_USAGE);
  EXPECT_EQ(status_of([&] { (void)model.score_features(rows, 1000); }), DIABOLO_USAGE);
  EXPECT_EQ(status_of([&] { (void)model.run_file(DIABOLO_ENCODE, "/no/such", "/tmp/x"); }),
            DIABOLO_DATA);
}

TEST_F(Cpp, AModelCarriesTextsThroughMemory) {
  TrainOptions options = quick();
  options.feature_names = {"a", "b", "c", "d", "e", "f"};
  options.metadata = {{"site", "3"}};
  const Model model = Model::train(context, rows, options);
  const Model loaded = Model::load_memory(context, model.save_memory());
  EXPECT_EQ(loaded.feature_names(), options.feature_names);
  EXPECT_EQ(loaded.metadata(), options.metadata);
  EXPECT_EQ(loaded.text(DIABOLO_TEXT_HASH), model.text(DIABOLO_TEXT_HASH));
  EXPECT_EQ(loaded.scaling().shift, model.scaling().shift);
  const Model strict = loaded.with({.threshold = 0.5, .metadata = {{"site", "4"}}});
  EXPECT_EQ(strict.info().threshold, 0.5);
  EXPECT_EQ(strict.metadata().at("site"), "4");
  EXPECT_EQ(strict.score(rows), model.score(rows));
}

TEST_F(Cpp, OptionsOfACallInMemory) {
  const Model model = Model::train(context, rows, quick());
  std::vector<uint8_t> above(rows.count());
  std::vector<diabolo_row_state> states(rows.count(), 9);
  uint64_t calls = 0;
  const std::vector<float> scores = model.run(
      DIABOLO_SCORE, rows,
      {.states = states, .threshold = 1e-30, .above = above, .progress = [&](const auto&) {
         ++calls;
         return true;
       }});
  EXPECT_EQ(scores, model.score(rows));
  EXPECT_EQ(above, std::vector<uint8_t>(rows.count(), 1));
  EXPECT_EQ(states, std::vector<diabolo_row_state>(rows.count(), DIABOLO_ROW_OK));
  EXPECT_GE(calls, 1u);
  const std::vector<float> codes = model.encode(rows);
  EXPECT_EQ(model.run(DIABOLO_DECODE, Rows(codes, 2)), model.reconstruct(rows));
  const auto stops = [](const diabolo_file_progress&) { return false; };
  EXPECT_EQ(status_of([&] { (void)model.run(DIABOLO_ENCODE, rows, {.progress = stops}); }),
            DIABOLO_INTERRUPTED);
}

TEST_F(Cpp, GeneratesRows) {
  TrainOptions options = quick();
  options.settings.emplace_back("model.code.kind=\"variational\"");
  const Model drawn = Model::train(context, rows, options);
  const auto many = drawn.generate(40, {.seed = 3});
  ASSERT_EQ(many.size(), 40 * kFeatures);
  const auto few = drawn.generate(3, {.seed = 3});
  EXPECT_TRUE(std::equal(few.begin(), few.end(), many.begin()));
  EXPECT_NE(drawn.generate(3, {.seed = 4}), few);
  EXPECT_NE(drawn.generate(3, {.seed = 3, .temperature = 0.5}), few);
  EXPECT_EQ(status_of([&] { drawn.generate(3, {.temperature = -1}); }), DIABOLO_USAGE);
  const std::string path =
      (std::filesystem::temp_directory_path() / "diabolo-cpp-generated.raw").string();
  EXPECT_EQ(drawn.run_file(DIABOLO_GENERATE, "", path, {.count = 40, .seed = 3}).rows_written, 40u);
  EXPECT_EQ(std::filesystem::file_size(path), many.size() * sizeof(float));
  const auto to_file = [&](const std::string& input, uint64_t count) {
    return status_of([&] { drawn.run_file(DIABOLO_GENERATE, input, path, {.count = count}); });
  };
  EXPECT_EQ(to_file("", 0), DIABOLO_USAGE);
  EXPECT_EQ(to_file(path, 4), DIABOLO_USAGE);
  std::filesystem::remove(path);
  std::vector<float> out(kFeatures);
  EXPECT_EQ(status_of([&] { drawn.run(DIABOLO_GENERATE, rows, out); }), DIABOLO_USAGE);
}

TEST_F(Cpp, ReasonsOfAScore) {
  const Model model = Model::train(context, rows, quick());
  const diabolo::Explanation why = model.explain(rows, 2);
  EXPECT_EQ(why.scores, model.score(rows));
  EXPECT_EQ(why.features, model.score_features(rows, 2).features);
  const std::vector<float> rebuilt = model.reconstruct(rows);
  EXPECT_NEAR(why.expected[1], rebuilt[why.features[1]], 1e-5);
}

TEST_F(Cpp, Evaluates) {
  const Model model = Model::train(context, rows, quick());
  std::vector<uint8_t> labels(rows.count());
  labels[3] = 1;
  const diabolo::Evaluation found = model.evaluate(rows, {.labels = labels, .pca_from = rows});
  EXPECT_EQ(found.numbers.rows, rows.count());
  EXPECT_GT(found.numbers.mse, 0);
  EXPECT_LT(found.numbers.pca_mse, 1);
  EXPECT_GE(found.numbers.auroc, 0);
  EXPECT_NE(found.json.find("\"mse\":"), std::string::npos) << found.json;
  EXPECT_TRUE(std::isnan(model.evaluate(rows).numbers.auroc));
  EXPECT_EQ(status_of([&] { (void)model.evaluate_file("/no/such.npy"); }), DIABOLO_DATA);
  EXPECT_EQ(status_of([&] {
              (void)model.evaluate(rows, {.labels = labels, .labels_path = "labels.npy"});
            }),
            DIABOLO_USAGE);
}

TEST_F(Cpp, RowsOfOtherTypes) {
  const Model model = Model::train(context, rows, quick());
  const std::vector<uint8_t> bytes = {1, 2, 3, 4, 5, 6};
  const std::vector<double> doubles(bytes.begin(), bytes.end());
  const std::vector<float> floats(bytes.begin(), bytes.end());
  const std::array<int64_t, 6> longs = {1, 2, 3, 4, 5, 6};
  const std::vector<float> code = model.encode(Rows(bytes, {2, 3}));
  EXPECT_EQ(code, model.encode(Rows(floats, kFeatures)));
  // Types that f32 does not hold are scaled in double.
  for (const auto& other : {model.encode(Rows(doubles, kFeatures)), model.encode(Rows(longs, 6))})
    for (size_t i = 0; i < code.size(); ++i) EXPECT_NEAR(code[i], other[i], 1e-5);
}

TEST_F(Cpp, ACallbackCancelsAndTheModelIsTheStateSoFar) {
  TrainOptions options = quick();
  options.epochs = 1000;
  options.progress = [](const diabolo_train_progress&) { return false; };
  diabolo_train_result result{};
  const Model model = Model::train(context, rows, options, &result);
  EXPECT_EQ(result.is_cancelled, 1);
  EXPECT_EQ(model.encode(rows).size(), 200u);
}

TEST_F(Cpp, WhatACallbackThrowsComesOut) {
  struct Unheard {};
  TrainOptions options = quick();
  options.progress = [](const diabolo_train_progress&) -> bool { throw Unheard(); };
  EXPECT_THROW((void)Model::train(context, rows, options), Unheard);
}

TEST_F(Cpp, RowsOnADeviceNeedAModelOnADevice) {
  const Model model = Model::train(context, rows, quick());
  const uint64_t n = rows.count();
  const float* d_rows = values.data();
  std::vector<float> codes(n * 2), scores(n);
  std::vector<uint16_t> low(n * 2);
  float* d_codes = codes.data();
  const auto encode = [&] {
    model.encode_device(Rows(diabolo_rows_f32(d_rows, n, kFeatures)), {d_codes, n * 2}, nullptr);
  };
  EXPECT_EQ(status_of(encode), DIABOLO_DEVICE);
  EXPECT_EQ(status_of([&] { model.score_device(rows, scores, nullptr); }), DIABOLO_DEVICE);
  EXPECT_EQ(status_of([&] { model.encode_device(rows, low, nullptr); }), DIABOLO_USAGE);
}

TEST(CppContext, Logs) {
  std::vector<std::string> lines;
  const Context context(
      {.log = [&](diabolo_log_level, std::string_view line) { lines.emplace_back(line); }});
  EXPECT_EQ(lines.size(), 1u);
}

}  // namespace
}  // namespace diabolo_test
