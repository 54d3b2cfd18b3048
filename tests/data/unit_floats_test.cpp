// Who is warned that rows were scaled twice, and who is not.
#include "data/unit_floats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace diabolo {
namespace {

using ::testing::HasSubstr;

// The warning for these numbers, or nothing.
std::string warning(const std::vector<float>& values, DType model = DType::kU8,
                    float scale = 1.0f / 255) {
  std::string text;
  const Log log([&](LogLevel, std::string_view line) { text += line; });
  const Scaling scaling{Scale::kUnit, {0, 0}, {scale, scale}, {}};
  const auto data =
      memory_dataset("a.npy", TensorDesc(DType::kF32, {2}), std::as_bytes(std::span(values)));
  warn_of_unit_floats(*data, TensorDesc(model, {2}), scaling, log);
  return text;
}

TEST(UnitFloatsTest, ScaledImagesForAModelOfBytesAreNamed) {
  EXPECT_THAT(warning({0, 0.5f, 1, 0.25f}), HasSubstr("trained on u8 from 0 to 255"));
  EXPECT_THAT(warning({0, 0.5f}, DType::kU16, 1.0f / 65535), HasSubstr("divided by 65535"));
}

// Images of 16 bits are no images of 8.
TEST(UnitFloatsTest, AnotherDepthIsNamed) {
  const auto depth = []<class T>(DType is, const std::vector<T>& values, DType model) {
    std::string text;
    const Log log([&](LogLevel, std::string_view line) { text += line; });
    const float scale = model == DType::kU8 ? 1.0f / 255 : 1.0f / 65535;
    const Scaling scaling{Scale::kUnit, {0, 0}, {scale, scale}, {}};
    const auto data =
        memory_dataset("a.npy", TensorDesc(is, {2}), std::as_bytes(std::span(values)));
    warn_of_unit_floats(*data, TensorDesc(model, {2}), scaling, log);
    return text;
  };
  const std::vector<uint16_t> deep = {0, 65535}, shallow = {0, 255};
  EXPECT_THAT(depth(DType::kU16, deep, DType::kU8), HasSubstr("u16 beyond 255, the model was"));
  EXPECT_EQ(depth(DType::kU16, shallow, DType::kU8), "");
  EXPECT_EQ(depth(DType::kU16, deep, DType::kU16), "");
  EXPECT_THAT(depth(DType::kU8, std::vector<uint8_t>{0, 255}, DType::kU16),
              HasSubstr("its numbers are u8, the model was trained on u16"));
  EXPECT_THAT(depth(DType::kF32, std::vector<float>{0, 300}, DType::kU8),
              HasSubstr("f32 beyond 255"));
}

TEST(UnitFloatsTest, OtherRowsAreNot) {
  EXPECT_EQ(warning({0, 0.5f, 1, 1.5f}), "");
  EXPECT_EQ(warning({0, 17, 255, 3}), "");
  EXPECT_EQ(warning({-0.5f, 0.5f}), "");
  EXPECT_EQ(warning({0, 0, 0, 0}), "");
  EXPECT_EQ(warning({0, 0.5f}, DType::kF32), "");
  EXPECT_EQ(warning({0, 1, 1, 0}, DType::kU8, 2.0f), "");  // 0 and 1 kept as bytes
}

}  // namespace
}  // namespace diabolo
