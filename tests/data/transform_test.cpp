// Scaling, conversion and what happens to NaN.
#include "data/transform.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "base/expect_error.h"
#include "data/make_files.h"

namespace diabolo {
namespace {

using diabolo::testing::bytes_of;
using diabolo::testing::error_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Rows of `width` numbers, in memory.
template <class T>
struct Table {
  Table(DType dtype, int64_t width, const std::vector<T>& values)
      : bytes(bytes_of(values)),
        data(memory_dataset("table", TensorDesc(dtype, {width}), std::as_bytes(std::span(bytes)))) {
  }
  std::vector<float> convert(const Scaling& scaling, BadValue policy,
                             std::vector<uint64_t>* kept = nullptr) const {
    std::vector<float> out(bytes.size() / sizeof(T));
    const uint64_t rows = convert_rows(scaling, policy, {"table", 100}, data->x().row.dtype(),
                                       std::as_bytes(std::span(bytes)), out, kept);
    out.resize(rows * scaling.shift.size());
    return out;
  }
  std::string bytes;
  std::unique_ptr<Dataset> data;
};

TEST(ScaleTest, NamesRoundTrip) {
  for (const Scale scale : {Scale::kUnit, Scale::kStandard, Scale::kMinmax, Scale::kNone})
    EXPECT_EQ(scale_from_name(name(scale)), scale);
  EXPECT_EQ(scale_from_name("Unit"), std::nullopt);
}

TEST(ScaleTest, UnitDividesByTheTypesMaximum) {
  const Table<uint8_t> table(DType::kU8, 2, {0, 255, 51, 102});
  const Scaling scaling = fit_scaling(*table.data, Scale::kUnit, BadValue::kError);
  EXPECT_THAT(table.convert(scaling, BadValue::kError),
              ElementsAre(0.0f, 1.0f, 51 * (1 / 255.0f), 102 * (1 / 255.0f)));
  EXPECT_TRUE(scaling.mean.empty());
  const Table<float> floats(DType::kF32, 1, {1.0f});
  EXPECT_EQ(error_of([&] { fit_scaling(*floats.data, Scale::kUnit, BadValue::kError); }).code(),
            ErrorCode::kUsage);
}

TEST(ScaleTest, UnitNeedsAnUnsignedType) {
  for (const DType dtype : {DType::kU8, DType::kU16, DType::kU32, DType::kU64, DType::kBool})
    EXPECT_TRUE(has_unit_range(dtype));
  const Table<int16_t> table(DType::kI16, 1, {1});
  const Error error = error_of([&] { require_scale(*table.data, Scale::kUnit); });
  EXPECT_EQ(error.code(), ErrorCode::kUsage);
  EXPECT_THAT(error.what(), HasSubstr("--scale standard, minmax or none"));
  require_scale(*table.data, Scale::kMinmax);
}

TEST(ScaleTest, UnitOfEveryIntegerType) {
  const auto scale = [](const Dataset& data) {
    return fit_scaling(data, Scale::kUnit, BadValue::kError).scale.at(0);
  };
  EXPECT_EQ(scale(*Table<uint8_t>(DType::kBool, 1, {1}).data), 1.0f);
  EXPECT_EQ(scale(*Table<int8_t>(DType::kI8, 1, {1}).data), 1.0f / 127);
  EXPECT_EQ(scale(*Table<uint16_t>(DType::kU16, 1, {1}).data), 1.0f / 65535);
  EXPECT_EQ(scale(*Table<int16_t>(DType::kI16, 1, {1}).data), 1.0f / 32767);
  EXPECT_EQ(scale(*Table<uint32_t>(DType::kU32, 1, {1}).data), 0x1p-32f);
  EXPECT_EQ(scale(*Table<int32_t>(DType::kI32, 1, {1}).data), 0x1p-31f);
  EXPECT_EQ(scale(*Table<uint64_t>(DType::kU64, 1, {1}).data), 0x1p-64f);
  EXPECT_EQ(scale(*Table<int64_t>(DType::kI64, 1, {1}).data), 0x1p-63f);
}

TEST(ScaleTest, StandardByHand) {
  // Means 3 and 7; deviations sqrt(8/3) and 0, for which 1 is taken.
  const Table<int32_t> table(DType::kI32, 2, {1, 7, 3, 7, 5, 7});
  const Scaling scaling = fit_scaling(*table.data, Scale::kStandard, BadValue::kError);
  EXPECT_THAT(scaling.shift, ElementsAre(3.0f, 7.0f));
  EXPECT_THAT(scaling.scale, ElementsAre(static_cast<float>(1 / std::sqrt(8.0 / 3)), 1.0f));
  const auto out = table.convert(scaling, BadValue::kError);
  EXPECT_EQ(out[1], 0.0f);
  EXPECT_FLOAT_EQ(out[4], 2 / std::sqrt(8.0f / 3));
}

// A mean a million times the deviation: sums of squares would lose everything.
TEST(ScaleTest, StandardKeepsItsDigitsUnderALargeMean) {
  std::vector<int32_t> values;
  for (int i = 0; i < 30'000; ++i) values.push_back(10'000'000 + (i % 2 ? 1 : -1));
  const Table<int32_t> table(DType::kI32, 1, values);
  const Scaling scaling = fit_scaling(*table.data, Scale::kStandard, BadValue::kError);
  EXPECT_EQ(scaling.shift[0], 10'000'000.0f);
  EXPECT_NEAR(scaling.scale[0], 1.0f, 1e-6);  // error of Welford: about rows * eps = 7e-12
}

TEST(ScaleTest, StandardHasMeanZeroAndDeviationOne) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal(40.0f, 3.0f);
  std::vector<float> values(5000 * 3);
  for (float& value : values) value = normal(random);
  const Table<float> table(DType::kF32, 3, values);
  const Scaling scaling = fit_scaling(*table.data, Scale::kStandard, BadValue::kError);
  const auto out = table.convert(scaling, BadValue::kError);
  for (size_t column = 0; column < 3; ++column) {
    double sum = 0, squares = 0;
    for (size_t row = 0; row < 5000; ++row) {
      sum += out[row * 3 + column];
      squares += double{out[row * 3 + column]} * out[row * 3 + column];
    }
    // Each value carries an error of about 40 / 3 * 2^-24 = 8e-7.
    EXPECT_NEAR(sum / 5000, 0.0, 2e-6);
    EXPECT_NEAR(squares / 5000, 1.0, 4e-6);
  }
}

TEST(ScaleTest, MinmaxByHand) {
  const Table<double> table(DType::kF64, 2, {-2.0, 5.0, 2.0, 5.0, 0.0, 5.0});
  const Scaling scaling = fit_scaling(*table.data, Scale::kMinmax, BadValue::kError);
  EXPECT_THAT(table.convert(scaling, BadValue::kError),
              ElementsAre(0.0f, 0.0f, 1.0f, 0.0f, 0.5f, 0.0f));
}

// Narrow rows are scaled several at once: every column has its own scale, in any number of
// rows, and what is not finite is seen wherever it stands.
TEST(ScaleTest, ColumnsOfNarrowRowsKeepTheirOwnScale) {
  for (const size_t width : {1u, 3u, 8u, 63u, 64u, 65u, 200u})
    for (const size_t rows : {1u, 2u, 43u, 700u}) {
      Scaling scaling{Scale::kStandard, {}, {}, {}};
      for (size_t i = 0; i < width; ++i) {
        scaling.shift.push_back(static_cast<float>(i));
        scaling.scale.push_back(1.0f / static_cast<float>(i + 1));
      }
      std::vector<float> raw(rows * width), out(rows * width), expected;
      for (size_t i = 0; i < raw.size(); ++i) raw[i] = static_cast<float>(i % 101);
      for (size_t i = 0; i < raw.size(); ++i)
        expected.push_back((raw[i] - scaling.shift[i % width]) * scaling.scale[i % width]);
      const auto scale = [&] {
        return scale_rows(scaling, DType::kF32, std::as_bytes(std::span(raw)), out);
      };
      EXPECT_TRUE(scale());
      EXPECT_EQ(out, expected) << width << " x " << rows;
      raw.back() = std::numeric_limits<float>::infinity();
      EXPECT_FALSE(scale());
    }
}

TEST(ScaleTest, UnscaleIsTheInverse) {
  const Scaling scaling{Scale::kStandard, {3.0f, -1.0f}, {0.5f, 4.0f}, {}};
  std::vector<float> rows = {0.0f, 0.0f, 1.0f, -2.0f};
  unscale_rows(scaling, rows);
  EXPECT_THAT(rows, ElementsAre(3.0f, -1.0f, 5.0f, -1.5f));
}

TEST(ScaleTest, NeedsRows) {
  const Table<float> none(DType::kF32, 2, {});
  EXPECT_EQ(error_of([&] { fit_scaling(*none.data, Scale::kStandard, BadValue::kError); }).code(),
            ErrorCode::kData);
  const Table<float> bad(DType::kF32, 1, {kNan, kNan});
  EXPECT_EQ(error_of([&] { fit_scaling(*bad.data, Scale::kStandard, BadValue::kSkip); }).code(),
            ErrorCode::kData);
}

Scaling plain(size_t width) {
  return {Scale::kNone, std::vector(width, 0.0f), std::vector(width, 1.0f),
          std::vector(width, 8.0f)};
}

TEST(BadValueTest, IsNamedByFileRowAndColumn) {
  const Table<float> table(DType::kF32, 3, {1, 2, 3, 4, kNan, 6});
  const Error error = error_of([&] { table.convert(plain(3), BadValue::kError); });
  EXPECT_EQ(error.code(), ErrorCode::kData);
  EXPECT_STREQ(error.what(), "table: row 101, column 1 is NaN (use --on-bad-value skip|zero|mean)");
  EXPECT_THAT(
      error_of([&] { fit_scaling(*table.data, Scale::kStandard, BadValue::kError); }).what(),
      HasSubstr("table: row 1, column 1 is NaN"));
}

// f32 numbers whose range f32 does not hold: the scale is to blame.
TEST(BadValueTest, ARangeTooWideForTheScaleIsNamed) {
  const Table<float> table(DType::kF32, 1, {-3e38f, 3e38f, 0, 1});
  const Scaling minmax = fit_scaling(*table.data, Scale::kMinmax, BadValue::kError);
  EXPECT_STREQ(
      error_of([&] { table.convert(minmax, BadValue::kError); }).what(),
      "table: row 101, column 0 is 3e+38, which scale minmax takes beyond f32: the range is "
      "too wide (train with --scale standard, or use --on-bad-value skip|zero|mean)");
  const Scaling standard = fit_scaling(*table.data, Scale::kStandard, BadValue::kError);
  EXPECT_EQ(table.convert(standard, BadValue::kError).size(), 4u);
}

TEST(BadValueTest, Policies) {
  const Table<float> table(DType::kF32, 2, {1, 2, kInfinity, 4, 5, 6, 7, kNan});
  EXPECT_THAT(table.convert(plain(2), BadValue::kZero), ElementsAre(1, 2, 0, 4, 5, 6, 7, 0));
  EXPECT_THAT(table.convert(plain(2), BadValue::kMean), ElementsAre(1, 2, 8, 4, 5, 6, 7, 8));
  std::vector<uint64_t> kept;
  EXPECT_THAT(table.convert(plain(2), BadValue::kSkip, &kept), ElementsAre(1, 2, 5, 6));
  EXPECT_THAT(kept, ElementsAre(0, 2));
}

TEST(BadValueTest, PoliciesInStatistics) {
  const Table<float> table(DType::kF32, 2, {1, 2, kInfinity, 4, 5, 6, 7, kNan});
  const auto means = [&](BadValue policy) {
    return fit_scaling(*table.data, Scale::kStandard, policy).shift;
  };
  EXPECT_THAT(means(BadValue::kZero), ElementsAre(13.0f / 4, 3.0f));
  EXPECT_THAT(means(BadValue::kMean), ElementsAre(13.0f / 3, 4.0f));
  EXPECT_THAT(means(BadValue::kSkip), ElementsAre(3.0f, 4.0f));
  EXPECT_THAT(fit_scaling(*table.data, Scale::kNone, BadValue::kMean).mean,
              ElementsAre(13.0f / 3, 4.0f));
}

TEST(BadValueTest, AColumnOfBadValuesIsSurvived) {
  const Table<float> table(DType::kF32, 2, {1, kNan, 3, kNan});
  const Scaling scaling = fit_scaling(*table.data, Scale::kStandard, BadValue::kMean);
  EXPECT_THAT(table.convert(scaling, BadValue::kMean), ElementsAre(-1, 0, 1, 0));
}

TEST(BadValueTest, WhatF32CannotHoldIsBad) {
  const Table<double> table(DType::kF64, 1, {1e300});
  EXPECT_THAT(error_of([&] { table.convert(plain(1), BadValue::kError); }).what(),
              HasSubstr("infinite or too large for f32"));
  // Finite, but not once it is scaled.
  const Table<float> large(DType::kF32, 2, {3e38f, 3e38f});
  const Scaling steep{Scale::kStandard, {-3e38f, 0.0f}, {1.0f, 1.0f}, {0.0f, 0.0f}};
  EXPECT_THAT(error_of([&] { large.convert(steep, BadValue::kError); }).what(),
              HasSubstr("row 100, column 0"));
  EXPECT_THAT(large.convert(steep, BadValue::kZero), ElementsAre(3e38f, 3e38f));
  EXPECT_THAT(large.convert(steep, BadValue::kSkip), ElementsAre());
  const Scaling hopeless{Scale::kStandard, {-3e38f, 0.0f}, {1e30f, 1.0f}, {0.0f, 0.0f}};
  EXPECT_EQ(error_of([&] { large.convert(hopeless, BadValue::kZero); }).code(), ErrorCode::kData);
}

template <class T>
void expect_floats(DType dtype, const std::vector<T>& values, const std::vector<float>& expected) {
  const std::string bytes = bytes_of(values);
  std::vector<float> out(values.size());
  to_f32(dtype, std::as_bytes(std::span(bytes)), out);
  EXPECT_EQ(out, expected) << name(dtype);
}

TEST(ConversionTest, EveryType) {
  expect_floats<float>(DType::kF32, {-1.5f, 3e38f}, {-1.5f, 3e38f});
  expect_floats<double>(DType::kF64, {0.1, -1e-50}, {0.1f, -0.0f});
  expect_floats<uint16_t>(DType::kF16, {0x3c00, 0xfbff}, {1.0f, -65504.0f});
  expect_floats<uint16_t>(DType::kBf16, {0x3f80, 0xc040}, {1.0f, -3.0f});
  expect_floats<uint8_t>(DType::kU8, {0, 255}, {0.0f, 255.0f});
  expect_floats<int8_t>(DType::kI8, {-128, 127}, {-128.0f, 127.0f});
  expect_floats<uint16_t>(DType::kU16, {65535}, {65535.0f});
  expect_floats<int16_t>(DType::kI16, {-32768}, {-32768.0f});
  expect_floats<uint32_t>(DType::kU32, {4294967295u, 16777217u}, {4294967296.0f, 16777216.0f});
  expect_floats<int32_t>(DType::kI32, {INT32_MIN}, {-2147483648.0f});
  expect_floats<uint64_t>(DType::kU64, {UINT64_MAX}, {18446744073709551616.0f});
  expect_floats<int64_t>(DType::kI64, {INT64_MIN}, {-9223372036854775808.0f});
  expect_floats<uint8_t>(DType::kBool, {0, 1, 7}, {0.0f, 1.0f, 1.0f});
}

}  // namespace
}  // namespace diabolo
