// Who is told that the type of the rows is too coarse for the model.
#include "data/coarse_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace diabolo {
namespace {

using ::testing::HasSubstr;

Scaling scaling_of(const std::vector<float>& shift, const std::vector<float>& scale) {
  return {Scale::kStandard, shift, scale, {}};
}

TEST(CoarseRowsTest, TheFirstFeatureWithTooWideStepsIsFound) {
  EXPECT_EQ(coarse_feature(scaling_of({5, 1e9f}, {1, 1}), DType::kF32), 1u);
  EXPECT_EQ(coarse_feature(scaling_of({-1e9f, 1e9f}, {1, 1}), DType::kF32), 0u);
  EXPECT_EQ(coarse_feature(scaling_of({5, 1000}, {1, 1}), DType::kF16), 1u);
  EXPECT_EQ(coarse_feature(scaling_of({1e17f}, {1}), DType::kF64), 0u);
}

TEST(CoarseRowsTest, OthersAreNot) {
  EXPECT_EQ(coarse_feature(scaling_of({1e9f}, {1e-4f}), DType::kF32), std::nullopt);
  EXPECT_EQ(coarse_feature(scaling_of({1e9f}, {1}), DType::kF64), std::nullopt);
  EXPECT_EQ(coarse_feature(scaling_of({1e9f}, {1}), DType::kI32), std::nullopt);
  EXPECT_EQ(coarse_feature(scaling_of({0, 1e5f}, {1, 1}), DType::kF32), std::nullopt);
}

// What a model was trained on in double, and what it is given now.
TEST(CoarseRowsTest, TheDoublesOfAWideScalingCount) {
  Scaling scaling = scaling_of({1e9f}, {1});
  scaling.wide = {{1e9}, {0}, {1}, {1e9}};
  std::string text;
  const Log log([&](LogLevel, std::string_view line) { text += line; });
  const std::vector<float> values = {1e9f};
  const auto data =
      memory_dataset("a.npy", TensorDesc(DType::kF32, {1}), std::as_bytes(std::span(values)));
  warn_of_coarse_rows(*data, scaling, log);
  EXPECT_THAT(text, HasSubstr("a.npy: feature 0 lies near 1e+09, where f32 has steps of 64"));
}

TEST(CoarseRowsTest, AModelWhoseRowsWereRoundedIsNamedWhereThatMatters) {
  std::string text;
  const Log log([&](LogLevel, std::string_view line) { text += line; });
  Scaling scaling = scaling_of({1e9f}, {1});
  warn_of_rounded_model("m", scaling, log);
  EXPECT_EQ(text, "");
  scaling.rounds_first = true;
  warn_of_rounded_model("m", scaling, log);
  EXPECT_THAT(text, HasSubstr("m: was trained by a version that rounded its rows to f32"));
  text.clear();
  scaling.scale = {1e-4f};
  warn_of_rounded_model("m", scaling, log);
  EXPECT_EQ(text, "");
}

}  // namespace
}  // namespace diabolo
