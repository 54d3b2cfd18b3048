// Thresholds in the call, reasons of a score, and the end of a long call before its time.
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <thread>

#include "capi/small_model.h"

namespace diabolo_test {
namespace {

constexpr uint64_t kWorst = 4;

class Explain : public SmallModel {
 protected:
  struct Reasons {
    std::vector<float> scores = std::vector<float>(kRows);
    std::vector<uint32_t> features = std::vector<uint32_t>(kRows * kWorst);
    std::vector<float> errors = std::vector<float>(kRows * kWorst);
    std::vector<double> differences = std::vector<double>(kRows * kWorst);
    std::vector<double> expected = std::vector<double>(kRows * kWorst);

    diabolo_explanation view() {
      auto out = sized<diabolo_explanation>();
      out.worst = kWorst;
      out.room = kRows * kWorst;
      out.features = features.data();
      out.errors = errors.data();
      out.differences = differences.data();
      out.expected = expected.data();
      return out;
    }
  };

  static diabolo_status explain(const diabolo_rows& rows, Reasons& out,
                                const diabolo_row_options* options = nullptr) {
    const diabolo_explanation to = out.view();
    return diabolo_explain(model, &rows, options, out.scores.data(), out.scores.size(), &to);
  }
  static diabolo_status score(const diabolo_rows& rows, const diabolo_row_options& options,
                              std::vector<float>& out) {
    return diabolo_run_rows(model, DIABOLO_SCORE, &rows, &options, out.data(), out.size());
  }

  std::vector<float> values = wave_rows(kRows);
};

TEST_F(Explain, DifferencesAreThoseOfTheReconstruction) {
  values[7 * kFeatures + 5] += 4;  // too large
  values[9 * kFeatures + 2] -= 4;  // too small
  const diabolo_rows rows = view(values);
  Reasons found;
  ASSERT_EQ(explain(rows, found), DIABOLO_OK) << diabolo_last_error();
  std::vector<float> scores(kRows), errors(kRows * kWorst), rebuilt(values.size());
  std::vector<uint32_t> features(kRows * kWorst);
  ASSERT_EQ(diabolo_score_features(model, &rows, kWorst, scores.data(), kRows, features.data(),
                                   errors.data(), errors.size()),
            DIABOLO_OK);
  ASSERT_EQ(diabolo_reconstruct(model, &rows, rebuilt.data(), rebuilt.size()), DIABOLO_OK);
  EXPECT_EQ(found.scores, scores);
  EXPECT_EQ(found.features, features);
  EXPECT_EQ(found.errors, errors);
  double scale[kFeatures];
  ASSERT_EQ(diabolo_model_scaling(model, nullptr, scale, kFeatures), DIABOLO_OK);
  for (uint64_t i = 0; i < kRows * kWorst; ++i) {
    const uint64_t feature = features[i], at = i / kWorst * kFeatures + feature;
    EXPECT_NEAR(found.expected[i], rebuilt[at], 1e-5);
    EXPECT_NEAR(found.differences[i], double{values[at]} - rebuilt[at], 1e-5);
    const double scaled = found.differences[i] * scale[feature];
    EXPECT_NEAR(scaled * scaled, errors[i], 1e-4 * (1 + errors[i]));
  }
  EXPECT_EQ(found.features[7 * kWorst], 5u);
  EXPECT_GT(found.differences[7 * kWorst], 2);
  EXPECT_EQ(found.features[9 * kWorst], 2u);
  EXPECT_LT(found.differences[9 * kWorst], -2);
}

TEST_F(Explain, WhatIsNotWantedIsLeftOut) {
  const diabolo_rows rows = view(values);
  Reasons all, some;
  ASSERT_EQ(explain(rows, all), DIABOLO_OK);
  auto only = sized<diabolo_explanation>();
  only.worst = kWorst;
  only.room = kRows * kWorst;
  only.differences = some.differences.data();
  ASSERT_EQ(diabolo_explain(model, &rows, nullptr, some.scores.data(), kRows, &only), DIABOLO_OK)
      << diabolo_last_error();
  EXPECT_EQ(some.differences, all.differences);
}

TEST_F(Explain, ARowWithABadValueIsLeftOutOrMended) {
  values[3 * kFeatures + 1] = std::numeric_limits<float>::quiet_NaN();
  const diabolo_rows rows = view(values);
  Reasons found;
  EXPECT_EQ(explain(rows, found), DIABOLO_DATA);
  std::vector<diabolo_row_state> states(kRows);
  auto options = sized<diabolo_row_options>();
  options.on_bad_value = DIABOLO_BAD_VALUE_SKIP;
  options.states = states.data();
  options.states_size = states.size();
  ASSERT_EQ(explain(rows, found, &options), DIABOLO_OK) << diabolo_last_error();
  EXPECT_EQ(states[3], DIABOLO_ROW_BAD_INPUT);
  EXPECT_TRUE(std::isnan(found.differences[3 * kWorst]) && std::isnan(found.scores[3]));
  EXPECT_EQ(states[2], DIABOLO_ROW_OK);
  EXPECT_FALSE(std::isnan(found.differences[2 * kWorst]));
  options.on_bad_value = DIABOLO_BAD_VALUE_ZERO;
  ASSERT_EQ(explain(rows, found, &options), DIABOLO_OK) << diabolo_last_error();
  for (uint64_t i = 0; i < kWorst; ++i)
    if (found.features[3 * kWorst + i] == 1) {
      EXPECT_NEAR(found.differences[3 * kWorst + i], -found.expected[3 * kWorst + i], 1e-6);
    }
}

TEST_F(Explain, BadArguments) {
  const diabolo_rows rows = view(values);
  Reasons out;
  const auto refused = [&](const char* part, const auto& change) {
    diabolo_explanation to = out.view();
    change(to);
    EXPECT_EQ(diabolo_explain(model, &rows, nullptr, out.scores.data(), kRows, &to), DIABOLO_USAGE);
    EXPECT_NE(std::strstr(diabolo_last_error(), part), nullptr) << diabolo_last_error();
  };
  using To = diabolo_explanation;
  refused("worst", [](To& to) { to.worst = 0; });
  refused("worst", [](To& to) { to.worst = kFeatures + 1; });
  refused("features: expected room", [](To& to) { --to.room; });
  refused("expected: expected room", [](To& to) {
    to.features = nullptr;
    to.errors = nullptr;
    to.differences = nullptr;
    to.room = 1;
  });
  EXPECT_EQ(diabolo_explain(model, &rows, nullptr, out.scores.data(), kRows, nullptr),
            DIABOLO_USAGE);
}

TEST_F(Explain, AboveIsByTheModelsThresholdOrTheCalls) {
  const diabolo_rows rows = view(values);
  std::vector<float> scores(kRows);
  std::vector<uint8_t> above(kRows);
  auto options = sized<diabolo_row_options>();
  options.above = above.data();
  options.above_size = above.size();
  auto info = sized<diabolo_model_info>();
  ASSERT_EQ(diabolo_model_inspect(model, &info), DIABOLO_OK);
  for (const double threshold : {0.0, 0.5 * info.threshold, 1e-30, 1e30}) {
    options.threshold = threshold;
    ASSERT_EQ(score(rows, options, scores), DIABOLO_OK) << diabolo_last_error();
    const double used = threshold == 0 ? info.threshold : threshold;
    for (uint64_t row = 0; row < kRows; ++row) ASSERT_EQ(above[row], scores[row] > used) << row;
  }
  options.threshold = -1;
  EXPECT_EQ(score(rows, options, scores), DIABOLO_USAGE);
  options.threshold = 0;
  --options.above_size;
  EXPECT_EQ(score(rows, options, scores), DIABOLO_USAGE);
  options.above_size = kRows;
  std::vector<float> codes(kRows * kCodeSize);
  EXPECT_EQ(diabolo_run_rows(model, DIABOLO_ENCODE, &rows, &options, codes.data(), codes.size()),
            DIABOLO_USAGE);
}

TEST_F(Explain, AModelWithoutThresholdNeedsOne) {
  const diabolo_rows rows = view(values);
  diabolo_train_options training = quick_training();
  training.epochs = 1000;
  training.progress = [](const diabolo_train_progress*, void*) { return 1; };
  diabolo_model* part = nullptr;
  ASSERT_EQ(diabolo_train(context, &rows, &training, &part, nullptr), DIABOLO_INTERRUPTED);
  std::vector<float> scores(kRows);
  std::vector<uint8_t> above(kRows);
  auto options = sized<diabolo_row_options>();
  options.above = above.data();
  options.above_size = above.size();
  const auto run = [&] {
    return diabolo_run_rows(part, DIABOLO_SCORE, &rows, &options, scores.data(), kRows);
  };
  EXPECT_EQ(run(), DIABOLO_USAGE);
  EXPECT_NE(std::strstr(diabolo_last_error(), "the model has none"), nullptr);
  options.threshold = 0.1;
  EXPECT_EQ(run(), DIABOLO_OK) << diabolo_last_error();
  EXPECT_EQ(diabolo_model_destroy(part), DIABOLO_OK);
}

struct Calls {
  std::thread::id caller = std::this_thread::get_id();
  uint64_t count = 0, last = 0, stop_after = ~uint64_t{0};
  bool is_in_order = true, is_in_caller = true;

  static int32_t call(const diabolo_file_progress* now, void* user) {
    auto& self = *static_cast<Calls*>(user);
    self.is_in_order = self.is_in_order && now->rows >= self.last && now->rows <= now->total_rows;
    self.is_in_caller = self.is_in_caller && self.caller == std::this_thread::get_id();
    self.last = now->rows;
    return ++self.count > self.stop_after;
  }
};

// All the threads there are, and enough work for them.
class LongCall : public testing::Test {
 protected:
  void SetUp() override {
    auto of = sized<diabolo_context_options>();
    of.device = "cpu";
    ASSERT_EQ(diabolo_context_create(&of, &context), DIABOLO_OK);
    model = train_small(context);
    options.progress = &Calls::call;
    options.progress_user = &calls;
  }
  void TearDown() override {
    EXPECT_EQ(diabolo_model_destroy(model), DIABOLO_OK);
    EXPECT_EQ(diabolo_context_destroy(context), DIABOLO_OK);
  }
  diabolo_status encode() {
    const diabolo_rows rows = view(values);
    return diabolo_run_rows(model, DIABOLO_ENCODE, &rows, &options, codes.data(), codes.size());
  }

  static constexpr uint64_t kMany = 400'000;
  diabolo_context* context = nullptr;
  diabolo_model* model = nullptr;
  const std::vector<float> values = wave_rows(kMany);
  std::vector<float> codes = std::vector<float>(kMany * kCodeSize);
  Calls calls;
  diabolo_row_options options = sized<diabolo_row_options>();
};

TEST_F(LongCall, SaysHowFarItIs) {
  ASSERT_EQ(encode(), DIABOLO_OK) << diabolo_last_error();
  EXPECT_GE(calls.count, 1u);
  EXPECT_TRUE(calls.is_in_order);
  EXPECT_TRUE(calls.is_in_caller);
}

TEST_F(LongCall, IsStoppedBeforeItBegins) {
  calls.stop_after = 0;
  EXPECT_EQ(encode(), DIABOLO_INTERRUPTED);
  EXPECT_NE(std::strstr(diabolo_last_error(), "stopped by the callback"), nullptr);
  EXPECT_EQ(calls.count, 1u);
  EXPECT_EQ(calls.last, 0u);
}

// By another thread, which the callback looks at.
TEST_F(LongCall, IsStoppedInTheMiddle) {
  std::vector<float> scores(kMany);
  std::vector<double> expected(kMany);
  auto to = sized<diabolo_explanation>();
  to.worst = 1;
  to.room = kMany;
  to.expected = expected.data();
  const diabolo_rows rows = view(values);
  calls.stop_after = 1;
  EXPECT_EQ(diabolo_explain(model, &rows, &options, scores.data(), kMany, &to), DIABOLO_INTERRUPTED)
      << "either pass takes longer than 10 ms";
  EXPECT_EQ(calls.count, 2u);
  calls = Calls();
  EXPECT_EQ(encode(), DIABOLO_OK) << "the model is as usable as before: " << diabolo_last_error();
}

}  // namespace
}  // namespace diabolo_test
