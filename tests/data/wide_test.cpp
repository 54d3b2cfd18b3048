// Rows of types wider than f32: what lies beyond f32's digits is there after scaling.
#include "data/wide.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/expect_error.h"
#include "data/make_files.h"
#include "data/transform.h"

namespace diabolo {
namespace {

using diabolo::testing::bytes_of;
using diabolo::testing::error_of;
using ::testing::HasSubstr;

__extension__ using Exact = __int128;

// value - (shift + rest) in integers of 128 bits, for a shift that is one.
template <class T>
void expect_exact(T value, double shift, double rest) {
  const Exact exact =
      static_cast<Exact>(value) - static_cast<Exact>(shift) - static_cast<Exact>(rest);
  const auto expected = static_cast<double>(exact);
  EXPECT_NEAR(difference(value, shift, rest), expected, std::abs(expected) * 0x1p-51)
      << +value << " - " << shift << " - " << rest;
}

template <class T>
void check_differences(uint64_t seed) {
  std::mt19937_64 random(seed);
  const T ends[] = {std::numeric_limits<T>::min(), std::numeric_limits<T>::max(), T{0}, T{1}};
  for (int i = 0; i < 200'000; ++i) {
    const T value = i % 5 == 0 ? ends[random() % 4] : static_cast<T>(random() >> (random() % 64));
    const TwoDoubles shift = two_doubles(value, static_cast<double>(random() % 2001) - 1000);
    expect_exact(value, shift.high, shift.low);
    const auto far = static_cast<T>(random() >> (random() % 64));
    const TwoDoubles other = two_doubles(far, 0.0);
    expect_exact(value, other.high, other.low);
    const auto between = static_cast<double>(static_cast<Exact>(value) - static_cast<Exact>(far));
    EXPECT_EQ(difference(value, far), between);
  }
}

TEST(WideTest, DifferencesOfIntegersAgreeWith128Bits) {
  check_differences<int64_t>(1);
  check_differences<uint64_t>(2);
}

template <class T>
struct Table {
  Table(DType dtype, int64_t width, const std::vector<T>& values_in)
      : values(values_in),
        data(memory_dataset("table", TensorDesc(dtype, {width}),
                            std::as_bytes(std::span(values)))) {}
  std::vector<float> scaled(const Scaling& scaling, BadValue policy = BadValue::kError) const {
    std::vector<float> out(values.size());
    const uint64_t rows = convert_rows(scaling, policy, {"table", 0}, data->x().row.dtype(),
                                       std::as_bytes(std::span(values)), out);
    out.resize(rows * scaling.shift.size());
    return out;
  }
  std::vector<T> values;
  std::unique_ptr<Dataset> data;
};

// Values base + offset, one column, are scaled as their offsets alone are in double.
template <class T>
void expect_centred(DType dtype, T base, const std::vector<int>& offsets) {
  std::vector<T> values;
  double sum = 0, squares = 0, least = 1e300, most = -1e300;
  for (const int offset : offsets) {
    values.push_back(static_cast<T>(base + static_cast<T>(offset)));
    sum += offset;
    least = std::min<double>(least, offset);
    most = std::max<double>(most, offset);
  }
  const auto count = static_cast<double>(offsets.size());
  const double mean = sum / count;
  for (const int offset : offsets) squares += (offset - mean) * (offset - mean);
  const Table<T> table(dtype, 1, values);
  const auto standard = table.scaled(fit_scaling(*table.data, Scale::kStandard, BadValue::kError));
  const auto minmax = table.scaled(fit_scaling(*table.data, Scale::kMinmax, BadValue::kError));
  for (size_t i = 0; i < offsets.size(); ++i) {
    EXPECT_NEAR(standard[i], (offsets[i] - mean) / std::sqrt(squares / count), 2e-6)
        << name(dtype) << " " << i;
    EXPECT_NEAR(minmax[i], (offsets[i] - least) / (most - least), 1e-6) << name(dtype) << " " << i;
  }
}

TEST(WideTest, EveryWideTypeIsCentredBeforeDigitsAreLost) {
  const std::vector<int> offsets = {3, -7, 0, 1, 12, -4, 5, 5, -9, 2};
  expect_centred<double>(DType::kF64, 1e9, offsets);
  expect_centred<double>(DType::kF64, -1e15, offsets);
  expect_centred<int32_t>(DType::kI32, 2'000'000'000, offsets);
  expect_centred<int32_t>(DType::kI32, -2'000'000'000, offsets);
  expect_centred<uint32_t>(DType::kU32, 4'000'000'000u, offsets);
  expect_centred<int64_t>(DType::kI64, 1'000'000'000'000, offsets);
  expect_centred<int64_t>(DType::kI64, 1'700'000'000'000'000'000, offsets);  // nanoseconds of 2023
  expect_centred<int64_t>(DType::kI64, INT64_MIN + 100, offsets);
  expect_centred<int64_t>(DType::kI64, INT64_MAX - 100, offsets);
  expect_centred<uint64_t>(DType::kU64, UINT64_MAX - 100, offsets);
}

TEST(WideTest, AMeanMovesByLessThanAStepOfDouble) {
  std::mt19937 random(3);
  std::vector<int> offsets(5000);
  for (int& offset : offsets) offset = static_cast<int>(random() % 100);
  expect_centred<int64_t>(DType::kI64, int64_t{1} << 61, offsets);
}

TEST(WideTest, AConstantFeatureIsCentredAndNotStretched) {
  const Table<double> table(DType::kF64, 1, {1e9 + 0.125, 1e9 + 0.125, 1e9 + 0.125});
  for (const Scale kind : {Scale::kStandard, Scale::kMinmax}) {
    const Scaling scaling = fit_scaling(*table.data, kind, BadValue::kError);
    EXPECT_EQ(scaling.wide.scale[0], 1.0);
    EXPECT_EQ(table.scaled(scaling), std::vector<float>(3, 0.0f));
  }
}

TEST(WideTest, OnlyScaledValuesBeyondF32AreBad) {
  const Table<double> table(DType::kF64, 1, {1e300, 2e300, 3e300});
  const auto scaled = table.scaled(fit_scaling(*table.data, Scale::kMinmax, BadValue::kError));
  EXPECT_EQ(scaled, (std::vector<float>{0.0f, 0.5f, 1.0f}));
  for (const float value :
       table.scaled(fit_scaling(*table.data, Scale::kStandard, BadValue::kError)))
    EXPECT_LT(std::abs(value), 2.0f);
  EXPECT_THAT(error_of([&] {
                table.scaled(fit_scaling(*table.data, Scale::kNone, BadValue::kError));
              }).what(),
              HasSubstr("row 0, column 0 is infinite or too large for f32"));
  const Table<double> bad(DType::kF64, 1, {1.0, HUGE_VAL, 3.0});
  EXPECT_THAT(error_of([&] { fit_scaling(*bad.data, Scale::kStandard, BadValue::kError); }).what(),
              HasSubstr("row 1, column 0 is infinite"));
}

TEST(WideTest, PoliciesForBadValues) {
  const Table<double> table(DType::kF64, 1, {1e9 - 1, std::nan(""), 1e9 + 1});
  const auto scaled = [&](BadValue policy) {
    return table.scaled(fit_scaling(*table.data, Scale::kStandard, policy), policy);
  };
  EXPECT_EQ(scaled(BadValue::kSkip), (std::vector<float>{-1, 1}));
  EXPECT_EQ(scaled(BadValue::kMean), (std::vector<float>{-1, 0, 1}));
  const auto zero = scaled(BadValue::kZero);  // 0 is far below the others
  EXPECT_NEAR(zero[1], -std::sqrt(2.0), 1e-6);
}

// Beyond the f32 that the floats of the model file round to.
TEST(WideTest, UnscalingEndsAtTheNearestFloat) {
  const Table<double> table(DType::kF64, 1, {123456789.0, 123456790.0, 123456797.0});
  const Scaling scaling = fit_scaling(*table.data, Scale::kStandard, BadValue::kError);
  std::vector<float> rows = table.scaled(scaling);
  unscale_rows(scaling, rows);
  EXPECT_EQ(rows, (std::vector<float>{123456789.0f, 123456790.0f, 123456797.0f}));
}

// A model of f32 rows takes wider ones as they are, not rounded to f32 first.
TEST(WideTest, AScalingOfNarrowRowsServesWideOnes) {
  const Scaling narrow{Scale::kStandard, {16777216.0f}, {2.0f}, {}};
  const Table<double> table(DType::kF64, 1, {16777217.0, 16777216.25});
  EXPECT_EQ(table.scaled(narrow), (std::vector<float>{2.0f, 0.5f}));
}

TEST(WideTest, NarrowRowsKeepTheFloats) {
  const Table<float> table(DType::kF32, 1, {1, 2, 4});
  EXPECT_TRUE(fit_scaling(*table.data, Scale::kStandard, BadValue::kError).wide.shift.empty());
}

// As the first builds scaled such rows, whose models have learnt from just that.
TEST(WideRowsTest, AreRoundedFirstWhereTheScalingWasMadeSo) {
  const std::vector<double> rows = {1e9 + 20, 1e9 + 40};
  Scaling scaling{Scale::kStandard, {1e9f}, {0.5f}, {1e9f}};
  scaling.rounds_first = true;
  std::vector<float> out(2);
  const auto bytes = std::as_bytes(std::span(rows));
  convert_rows(scaling, BadValue::kError, {"a", 0}, DType::kF64, bytes, out);
  EXPECT_EQ(out, (std::vector<float>{0, 32}));
  scale_rows(with_wide(scaling), DType::kF64, bytes, out);
  EXPECT_EQ(out, (std::vector<float>{0, 32}));
}

}  // namespace
}  // namespace diabolo
