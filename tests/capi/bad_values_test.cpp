// Values and results that are not finite, in memory: the model's own policy holds as it does for
// files, no NaN comes out unannounced, and the place of a bad value is given as numbers.
#include <algorithm>
#include <cmath>
#include <limits>

#include "capi/small_model.h"

namespace diabolo_test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr uint64_t kMany = 1000;  // pieces for several threads

// A model trained with a policy of its own.
diabolo_model* trained_with(diabolo_context* context, const char* policy) {
  const std::vector<float> values = wave_rows(kRows);
  const diabolo_rows rows = view(values);
  diabolo_train_options options = quick_training();
  const char* const settings[] = {kHidden, policy};
  options.settings = settings;
  options.setting_count = 2;
  diabolo_model* model = nullptr;
  EXPECT_EQ(diabolo_train(context, &rows, &options, &model, nullptr), DIABOLO_OK)
      << diabolo_last_error();
  return model;
}

struct Policies : testing::Test {
  static void SetUpTestSuite() {
    auto options = sized<diabolo_context_options>();
    options.device = "cpu";
    EXPECT_EQ(diabolo_context_create(&options, &context), DIABOLO_OK);
    error = trained_with(context, "data.on_bad_value=\"error\"");
    mean = trained_with(context, "data.on_bad_value=\"mean\"");
    skip = trained_with(context, "data.on_bad_value=\"skip\"");
  }
  static void TearDownTestSuite() {
    for (diabolo_model* model : {error, mean, skip}) diabolo_model_destroy(model);
    diabolo_context_destroy(context);
  }

  float* at(uint64_t row, uint64_t column) { return &values[row * kFeatures + column]; }
  // A row that f32 holds, though not what the model makes of it: with the signs for which a code
  // is not finite.
  void make_huge(uint64_t row) {
    std::vector<float> huge(kFeatures), codes(kCodeSize);
    const diabolo_rows one = view(huge);
    for (unsigned signs = 0; signs < 1u << kFeatures; ++signs) {
      for (unsigned i = 0; i < kFeatures; ++i) huge[i] = signs >> i & 1 ? 2e38f : -2e38f;
      if (diabolo_encode(error, &one, codes.data(), kCodeSize) == DIABOLO_OK) continue;
      ASSERT_NE(std::string(diabolo_last_error()).find("of the codes is"), std::string::npos)
          << diabolo_last_error();
      std::copy(huge.begin(), huge.end(), at(row, 0));
      return;
    }
    FAIL() << "the model holds all of them";
  }

  diabolo_status run(const diabolo_model* model, diabolo_verb verb,
                     diabolo_bad_value policy = DIABOLO_BAD_VALUE_MODEL, bool with_states = false) {
    auto options = sized<diabolo_row_options>();
    options.on_bad_value = policy;
    states.assign(kMany, 77);
    if (with_states) options.states = states.data(), options.states_size = states.size();
    const diabolo_rows rows = view(values);
    uint64_t numbers = 0;
    EXPECT_EQ(diabolo_output_size(model, verb, kMany, &numbers), DIABOLO_OK);
    out.assign(numbers, 0.0f);
    return diabolo_run_rows(model, verb, &rows, &options, out.data(), out.size());
  }
  void expect_place(uint64_t row, uint64_t column) {
    uint64_t found_row = 99, found_column = 99;
    EXPECT_EQ(diabolo_last_error_position(&found_row, &found_column), 1) << diabolo_last_error();
    EXPECT_EQ(found_row, row) << diabolo_last_error();
    EXPECT_EQ(found_column, column) << diabolo_last_error();
  }
  bool is_finite(uint64_t row) const {
    const uint64_t width = out.size() / kMany;
    const auto first = out.begin() + static_cast<ptrdiff_t>(row * width);
    return std::all_of(first, first + static_cast<ptrdiff_t>(width),
                       [](float v) { return std::isfinite(v); });
  }

  static inline diabolo_context* context = nullptr;
  static inline diabolo_model *error = nullptr, *mean = nullptr, *skip = nullptr;
  std::vector<float> values = wave_rows(kMany), out;
  std::vector<diabolo_row_state> states;
};

constexpr diabolo_verb kOfRows[] = {DIABOLO_ENCODE, DIABOLO_RECONSTRUCT, DIABOLO_SCORE};

TEST_F(Policies, TheOneOfTheModelHolds) {
  const std::vector<float> clean = values;
  ASSERT_EQ(run(mean, DIABOLO_ENCODE), DIABOLO_OK);
  const std::vector<float> expected = out;
  *at(400, 3) = kNan;
  for (const diabolo_verb verb : kOfRows) {
    EXPECT_EQ(run(error, verb), DIABOLO_DATA);
    expect_place(400, 3);
    EXPECT_EQ(run(skip, verb), DIABOLO_DATA);
    expect_place(400, 3);
    EXPECT_EQ(run(mean, verb), DIABOLO_OK) << diabolo_last_error();
    EXPECT_TRUE(is_finite(400));
  }
  ASSERT_EQ(run(mean, DIABOLO_ENCODE), DIABOLO_OK);
  EXPECT_NE(out, expected);
  const diabolo_rows rows = view(values);
  std::vector<float> codes(kMany * kCodeSize);
  EXPECT_EQ(diabolo_encode(mean, &rows, codes.data(), codes.size()), DIABOLO_OK);
  EXPECT_EQ(codes, out);
}

TEST_F(Policies, AreChosenByTheCall) {
  *at(0, 11) = kInf;
  EXPECT_EQ(run(mean, DIABOLO_SCORE, DIABOLO_BAD_VALUE_ERROR), DIABOLO_DATA);
  expect_place(0, 11);
  EXPECT_EQ(run(error, DIABOLO_SCORE, DIABOLO_BAD_VALUE_ZERO), DIABOLO_OK);
  const float zeroed = out[0];
  *at(0, 11) = 0;
  EXPECT_EQ(run(error, DIABOLO_SCORE), DIABOLO_OK);
  EXPECT_EQ(out[0], zeroed);
  EXPECT_EQ(run(error, DIABOLO_SCORE, DIABOLO_BAD_VALUE_SKIP), DIABOLO_USAGE);
  EXPECT_EQ(run(error, DIABOLO_SCORE, 9), DIABOLO_USAGE);
}

TEST_F(Policies, RowsThatAreLeftOutKeepTheirPlaces) {
  for (const diabolo_verb verb : kOfRows) {
    ASSERT_EQ(run(skip, verb), DIABOLO_OK);
    const std::vector<float> expected = out;
    const std::vector<float> clean = values;
    for (const uint64_t row : {0u, 5u, 6u, 300u, 999u}) *at(row, row % kFeatures) = kNan;
    ASSERT_EQ(run(skip, verb, DIABOLO_BAD_VALUE_MODEL, true), DIABOLO_OK) << diabolo_last_error();
    const uint64_t width = out.size() / kMany;
    for (uint64_t row = 0; row < kMany; ++row) {
      const bool is_bad = row == 0 || row == 5 || row == 6 || row == 300 || row == 999;
      EXPECT_EQ(states[row], is_bad ? DIABOLO_ROW_BAD_INPUT : DIABOLO_ROW_OK) << row;
      for (uint64_t i = row * width; i < (row + 1) * width; ++i)
        EXPECT_TRUE(is_bad ? std::isnan(out[i]) : out[i] == expected[i]) << row;
    }
    values = clean;
  }
}

TEST_F(Policies, ResultsThatAreNotFiniteAreErrorsOrStates) {
  make_huge(700);
  for (const diabolo_verb verb : {DIABOLO_ENCODE, DIABOLO_RECONSTRUCT}) {
    for (const diabolo_bad_value policy :
         {DIABOLO_BAD_VALUE_ERROR, DIABOLO_BAD_VALUE_ZERO, DIABOLO_BAD_VALUE_MEAN}) {
      EXPECT_EQ(run(mean, verb, policy), DIABOLO_DATA);
      uint64_t row = 0;
      EXPECT_EQ(diabolo_last_error_position(&row, nullptr), 1);
      EXPECT_EQ(row, 700u) << diabolo_last_error();
    }
    ASSERT_EQ(run(error, verb, DIABOLO_BAD_VALUE_SKIP, true), DIABOLO_OK);
    EXPECT_EQ(states[700], DIABOLO_ROW_BAD_RESULT);
    EXPECT_EQ(std::count(states.begin(), states.end(), DIABOLO_ROW_OK), kMany - 1);
    EXPECT_TRUE(std::isnan(out[700 * out.size() / kMany]));
  }
}

// Whoever finds what first: rows 30, 400 and 900 are in different pieces.
TEST_F(Policies, TheFirstBadRowIsNamed) {
  *at(900, 1) = kNan;
  *at(400, 8) = kNan;
  *at(400, 2) = kInf;
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(run(error, DIABOLO_ENCODE), DIABOLO_DATA);
    expect_place(400, 2);
  }
  make_huge(30);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(run(error, DIABOLO_RECONSTRUCT), DIABOLO_DATA);
    uint64_t row = 0;
    EXPECT_EQ(diabolo_last_error_position(&row, nullptr), 1);
    EXPECT_EQ(row, 30u) << diabolo_last_error();
  }
}

TEST_F(Policies, CodesAreRowsToo) {
  std::vector<float> codes(4 * kCodeSize, 0.5f);
  codes[7] = kNan;
  const diabolo_rows rows = diabolo_rows_f32(codes.data(), 4, kCodeSize);
  std::vector<float> rebuilt(4 * kFeatures);
  auto options = sized<diabolo_row_options>();
  const auto decode = [&] {
    return diabolo_run_rows(error, DIABOLO_DECODE, &rows, &options, rebuilt.data(), rebuilt.size());
  };
  EXPECT_EQ(decode(), DIABOLO_DATA);
  expect_place(2, 1);
  EXPECT_NE(std::string(diabolo_last_error()).find("codes: row 2, column 1"), std::string::npos);
  diabolo_row_state four[4];
  options.on_bad_value = DIABOLO_BAD_VALUE_SKIP;
  options.states = four;
  options.states_size = 3;
  EXPECT_EQ(decode(), DIABOLO_USAGE);
  options.states_size = 4;
  ASSERT_EQ(decode(), DIABOLO_OK) << diabolo_last_error();
  EXPECT_EQ(four[2], DIABOLO_ROW_BAD_INPUT);
  for (unsigned row = 0; row < 4; ++row)
    for (unsigned i = 0; i < kCodeSize; ++i)
      codes[row * kCodeSize + i] = row >> i & 1 ? 3e38f : -3e38f;
  ASSERT_EQ(decode(), DIABOLO_OK) << diabolo_last_error();
  EXPECT_NE(std::count(four, four + 4, DIABOLO_ROW_BAD_RESULT), 0);
  options.on_bad_value = DIABOLO_BAD_VALUE_MEAN;
  EXPECT_EQ(decode(), DIABOLO_DATA);
}

TEST_F(Policies, AnotherFailureHasNoPlace) {
  *at(1, 1) = kNan;
  EXPECT_EQ(run(error, DIABOLO_ENCODE), DIABOLO_DATA);
  expect_place(1, 1);
  EXPECT_EQ(run(error, DIABOLO_ENCODE, 9), DIABOLO_USAGE);
  uint64_t row = 5;
  EXPECT_EQ(diabolo_last_error_position(&row, nullptr), 0);
  EXPECT_EQ(row, 5u);
}

}  // namespace
}  // namespace diabolo_test
