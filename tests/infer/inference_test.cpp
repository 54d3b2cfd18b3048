// Rows through a model in memory: their bits depend on nothing else in the call, however it is
// shared out, and a call that fails leaves nothing behind.
#include "infer/inference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <limits>
#include <thread>

#include "backend/forwarding_backend.h"
#include "base/expect_error.h"
#include "infer/inference_lane.h"
#include "infer/odd_tasks.h"
#include "train/training_fixture.h"

namespace diabolo {
namespace {

constexpr int64_t kFeatures = 12;
constexpr uint64_t kRows = 1500;
constexpr std::array<int64_t, 5> kCounts = {1, 8, 32, 128, 256};

TEST(RowPieces, HandOutEveryRowOnceInPiecesThatFitAPlan) {
  for (const int lanes : {1, 2, 3, 64}) {
    for (uint64_t rows = 0; rows < 3000; rows += rows < 300 ? 1 : 37) {
      SCOPED_TRACE(cat(rows, " rows, ", lanes, " lanes"));
      RowPieces pieces(rows, kCounts, lanes);
      uint64_t next = 0, padding = 0, count = 0;
      while (const auto piece = pieces.next()) {
        ASSERT_EQ(piece->first, next);
        ASSERT_GE(piece->count, 1u);
        ASSERT_LE(piece->count, static_cast<uint64_t>(piece->plan_rows));
        ASSERT_TRUE(std::find(kCounts.begin(), kCounts.end(), piece->plan_rows) != kCounts.end());
        next += piece->count;
        padding += static_cast<uint64_t>(piece->plan_rows) - piece->count;
        ++count;
      }
      ASSERT_EQ(next, rows);
      ASSERT_LT(padding, 8u);
      ASSERT_TRUE(pieces.none_left());
      ASSERT_GE(pieces.lanes(), 1);
      ASSERT_LE(static_cast<uint64_t>(pieces.lanes()), std::max<uint64_t>(count, 1));
      // Fewer are not worth waking anybody.
      ASSERT_EQ(pieces.lanes() > 1, lanes > 1 && rows >= 64);
    }
  }
}

// What is drawn for a row is named by 64 bits of its number, of which a kernel counts 32.
TEST(RowPieces, EndWhereTheStepOfTheDrawsChanges) {
  constexpr uint64_t kStep = uint64_t{1} << 32;
  EXPECT_EQ(rows_of_step(0), kStep);
  EXPECT_EQ(rows_of_step(kStep - 1), 1u);
  EXPECT_EQ(rows_of_step(5 * kStep), kStep);
  EXPECT_EQ(rows_of_step(UINT64_MAX), 1u);
  for (const int lanes : {1, 4})
    for (const uint64_t before : {1, 2, 3, 8, 40, 255, 256, 700}) {
      RowPieces pieces(1000, kCounts, lanes, 3 * kStep - before);
      uint64_t next = 0;
      bool has_end = false;
      while (const auto piece = pieces.next()) {
        ASSERT_EQ(piece->first, next);
        ASSERT_LE(piece->count, static_cast<uint64_t>(piece->plan_rows));
        next += piece->count;
        ASSERT_FALSE(piece->first < before && before < next) << before << " " << lanes;
        has_end |= next == before;
      }
      EXPECT_TRUE(has_end);
      EXPECT_EQ(next, 1000u);
    }
}

TEST(RowPieces, AreHandedToSeveralThreadsOnceEach) {
  RowPieces pieces(100000, kCounts, 4);
  std::atomic<uint64_t> rows = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      while (const auto piece = pieces.next()) rows += piece->count;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(rows, 100000u);
}

class InferenceTest : public ::testing::Test {
 protected:
  InferenceTest() {
    model_.config = resolved(small_config(), Scale::kUnit);
    model_.row = TensorDesc(DType::kU8, {kFeatures});
    model_.scaling.kind = Scale::kUnit;
    model_.scaling.shift.assign(kFeatures, 0.25f);
    model_.scaling.scale.assign(kFeatures, 1.0f / 255.0f);
    model_.parameters =
        ParameterValues(model_.network().parameters(), initial_parameters(model_.network(), 0));
    for (size_t k = 0; k < bytes_.size(); ++k) {
      bytes_[k] = static_cast<std::byte>(k * k * 31 + k / 7);
      floats_[k] = static_cast<float>(bytes_[k]);
    }
  }

  RawRows view(DType dtype, uint64_t first, uint64_t count) const {
    const auto all = dtype == DType::kU8 ? std::span<const std::byte>(bytes_)
                                         : std::as_bytes(std::span<const float>(floats_));
    const uint64_t row_bytes = kFeatures * size_bytes(dtype);
    return {dtype, false, all.subspan(first * row_bytes, count * row_bytes), count};
  }
  std::vector<float> codes(const Inference& inference, const RawRows& rows) const {
    std::vector<float> out(rows.rows * static_cast<uint64_t>(inference.code_size()));
    inference.encode(rows, out);
    return out;
  }

  ModelFile model_;
  std::vector<std::byte> bytes_ = std::vector<std::byte>(kRows * kFeatures);
  std::vector<float> floats_ = std::vector<float>(kRows * kFeatures);
};

TEST_F(InferenceTest, BitsDependOnNeitherThreadsNorCompanyNorCallers) {
  const auto one = create_host_backend(1);
  const auto two = create_host_backend();
  for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
    if (precision == Precision::kBf16 && !one->info().cpu.has_bf16) continue;
    for (const DType dtype : {DType::kU8, DType::kF32}) {
      const Inference alone(*one, model_, {.precision = precision});
      const Inference shared(*two, model_, {.precision = precision});
      const std::vector<float> expected = codes(alone, view(dtype, 0, kRows));
      const auto width = static_cast<uint64_t>(alone.code_size());
      std::atomic<int> wrong = 0;
      const auto check = [&](uint64_t first, uint64_t count) {
        const std::vector<float> got = codes(shared, view(dtype, first, count));
        if (!std::equal(got.begin(), got.end(), expected.data() + first * width)) ++wrong;
      };
      for (const uint64_t count : {1, 2, 3, 31, 33, 64, 100, 255, 256, 257, 1000, 1500}) {
        check(0, count);
        check(kRows - count, count);
      }
      std::vector<std::thread> callers;
      for (uint64_t t = 0; t < 3; ++t) {
        callers.emplace_back([&, t] {
          for (uint64_t count = 1; count < 600; count += 83) check(t * 101, count);
        });
      }
      for (std::thread& caller : callers) caller.join();
      EXPECT_EQ(wrong, 0);
    }
  }
}

// A layer of more weights than a cache holds, which few rows share out to the threads.
TEST_F(InferenceTest, BitsOfALargeLayerDependOnNeitherThreadsNorCompany) {
  Config config = small_config();
  config.model.encoder.hidden = {2100, 2100};
  model_.config = resolved(config, Scale::kUnit);
  model_.parameters =
      ParameterValues(model_.network().parameters(), initial_parameters(model_.network(), 0));
  const auto one = create_host_backend(1);
  const auto two = create_host_backend(2);
  const Inference alone(*one, model_, {}), shared(*two, model_, {});
  constexpr uint64_t kCount = 130;
  const std::vector<float> expected = codes(alone, view(DType::kU8, 0, kCount));
  const auto width = static_cast<uint64_t>(alone.code_size());
  for (const Inference* inference : {&alone, &shared}) {
    for (const uint64_t count : {1, 2, 8, 31, 33, 63, 64, 130}) {
      const std::vector<float> got = codes(*inference, view(DType::kU8, kCount - count, count));
      EXPECT_TRUE(std::equal(got.begin(), got.end(), expected.data() + (kCount - count) * width))
          << count;
    }
  }
}

// Rounding to 8 bits in each of three layers, and no more than that.
TEST_F(InferenceTest, Bf16IsNearF32) {
  const auto backend = create_host_backend(1);
  const Inference exact(*backend, model_, {});
  const Inference rounded(*backend, model_, {.precision = Precision::kBf16});
  const RawRows rows = view(DType::kU8, 0, 100);
  const std::vector<float> expected = codes(exact, rows), found = codes(rounded, rows);
  float largest = 0;
  for (const float value : expected) largest = std::max(largest, std::fabs(value));
  EXPECT_GT(largest, 0.1f);
  EXPECT_NE(found, expected);
  for (size_t k = 0; k < found.size(); ++k) EXPECT_NEAR(found[k], expected[k], 0.03f * largest);
  std::vector<float> scores(100), exact_scores(100);
  Scores out;
  out.score = scores;
  rounded.score(rows, out);
  out.score = exact_scores;
  exact.score(rows, out);
  for (size_t k = 0; k < 100; ++k) EXPECT_NEAR(scores[k], exact_scores[k], 0.03f * exact_scores[k]);
}

// A host that refuses one allocation, counted from when it is told to.
class OnceRefusing : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;

  void refuse(int turn) { turn_ = turn; }

  void* allocate(uint64_t bytes) override {
    if (--turn_ == 0) throw Error(ErrorCode::kResource, "no memory");
    return ForwardingBackend::allocate(bytes);
  }

 private:
  std::atomic<int> turn_ = std::numeric_limits<int>::max();
};

TEST_F(InferenceTest, DrawsOfARowDependOnNoPieceBeyond32BitsOfRows) {
  constexpr uint64_t kCount = 40, kFirst = (uint64_t{1} << 32) - 10;
  const auto backend = create_host_backend();
  const Inference inference(*backend, model_, {});
  Picked whole(kCount), single(kCount);
  const auto whole_results = whole.results();
  inference.run(picking_task(), view(DType::kF32, 0, kCount), whole_results, {},
                {.first_row = kFirst});
  for (uint64_t row = 0; row < kCount; ++row) {
    Picked one(1);
    inference.run(picking_task(), view(DType::kF32, row, 1), one.results(), {},
                  {.first_row = kFirst + row});
    std::ranges::copy(one.codes, single.codes.begin() + static_cast<ptrdiff_t>(row * kPicked));
    std::ranges::copy(one.rows, single.rows.begin() + static_cast<ptrdiff_t>(row * kFeatures));
  }
  EXPECT_EQ(whole, single);
}

// Rows that cannot be read and rows that are bad: the first of both, whatever is read at once.
TEST_F(InferenceTest, TheFirstBadRowIsNamedWhateverIsReadWithIt) {
  for (const auto& [bad, lost] : {std::pair<uint64_t, uint64_t>{70, 100},
                                  {100, 70},
                                  {99, 100},
                                  {100, 99},
                                  {0, kRows - 1},
                                  {kRows - 1, 0}})
    for (const int threads : {1, 2})
      for (const int64_t most : {1, 8, 256}) {
        SCOPED_TRACE(cat(bad, " ", lost, " ", threads, " ", most));
        const auto backend = create_host_backend(threads);
        const Inference inference(*backend, model_, {.max_rows = most});
        std::vector<float> floats = floats_;
        floats[bad * kFeatures + 5] = std::numeric_limits<float>::quiet_NaN();
        RawRows rows{.rows = kRows};
        rows.fetch = [&](uint64_t first, uint64_t count, std::span<std::byte> to) {
          if (first <= lost && lost < first + count)
            throw Error(ErrorCode::kData, "lost", DataPosition{lost, 0});
          std::memcpy(to.data(), &floats[first * kFeatures], to.size());
        };
        const Error error = testing::error_of([&] { codes(inference, rows); });
        ASSERT_TRUE(error.position().has_value());
        EXPECT_EQ(error.position()->row, std::min(bad, lost));
      }
}

TEST_F(InferenceTest, CallsThatDoNotFitTheTaskAreRefused) {
  const auto backend = create_host_backend(1);
  const Inference inference(*backend, model_, {});
  const RawRows rows = view(DType::kU8, 0, 1);
  std::vector<float> code(static_cast<size_t>(inference.code_size()));
  const std::array results = {TaskResults(std::span(code))};
  const auto refused = [](const auto& call, const char* what) {
    try {
      call();
      ADD_FAILURE() << what;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage);
      EXPECT_THAT(error.what(), ::testing::HasSubstr(what));
    }
  };
  refused([&] { inference.run(kEncodeTask, std::span<const RawRows>(), results); },
          "encode: expected inputs: 1, found 0");
  refused([&] { inference.run(kEncodeTask, rows, std::span<const TaskResults>()); },
          "expected room for the codes too");
  refused([&] { inference.run(kEncodeTask, rows, results, {.on_bad_value = BadValue::kSkip}); },
          "states of rows: expected one for each of 1");
}

TEST_F(InferenceTest, ACallThatFailsOnOneThreadLeavesTheNextOneWhole) {
  const auto real = create_host_backend();
  OnceRefusing backend(*real);
  const Inference expected_by(*real, model_, {});
  const std::vector<float> expected = codes(expected_by, view(DType::kU8, 0, kRows));
  int failed = 0;
  for (int turn = 1; turn <= 4; ++turn) {
    const Inference inference(backend, model_, {});
    backend.refuse(turn);
    try {
      EXPECT_EQ(codes(inference, view(DType::kU8, 0, kRows)), expected);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kResource);
      ++failed;
    }
    backend.refuse(std::numeric_limits<int>::max());  // the other thread may have come too late
    EXPECT_EQ(codes(inference, view(DType::kU8, 0, kRows)), expected);
  }
  EXPECT_GE(failed, 2);  // one lane makes two allocations at least
}

}  // namespace
}  // namespace diabolo
