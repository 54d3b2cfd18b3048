#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>

#include "base/half.h"
#include "base/hash.h"

namespace diabolo {
namespace {

// Values of `xxhsum -H2` 0.8.1.
TEST(HashTest, IsXxh3With128Bits) {
  EXPECT_EQ(hash_of("").hex(), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(hash_of("abc").hex(), "06b05ab6733a618578af5f94892f3950");
}

TEST(HashTest, DoesNotDependOnTheCuts) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += static_cast<char>(i * 7 + i / 256);
  for (const size_t cut : {0, 1, 240, 241, 1024, 4999, 5000}) {
    Hasher hasher;
    hasher.update(std::string_view(text).substr(0, cut));
    hasher.update(std::string_view(text).substr(cut));
    EXPECT_EQ(hasher.digest(), hash_of(text)) << cut;
  }
}

TEST(HalfTest, EveryHalfSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = half_to_float(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(half_to_float(float_to_half(value)))) << bits;
    } else {
      EXPECT_EQ(float_to_half(value), half) << value;
    }
  }
}

// Between two neighbouring halves: the nearer one; in the middle, the even one.
TEST(HalfTest, RoundsToNearestEven) {
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const auto low = static_cast<uint16_t>(bits);
    const auto high = static_cast<uint16_t>(bits + 1);
    const float middle = (half_to_float(low) + half_to_float(high)) / 2;  // exact in f32
    EXPECT_EQ(float_to_half(middle), bits % 2 == 0 ? low : high) << middle;
    EXPECT_EQ(float_to_half(std::nextafterf(middle, 0.0f)), low) << middle;
    EXPECT_EQ(float_to_half(std::nextafterf(middle, INFINITY)), high) << middle;
    EXPECT_EQ(float_to_half(-middle), 0x8000 | (bits % 2 == 0 ? low : high)) << middle;
  }
}

TEST(HalfTest, KnownValues) {
  EXPECT_EQ(half_to_float(0x3c00), 1.0f);
  EXPECT_EQ(half_to_float(0xc000), -2.0f);
  EXPECT_EQ(half_to_float(0x0001), 0x1p-24f);
  EXPECT_EQ(half_to_float(0x7c00), INFINITY);
  EXPECT_EQ(float_to_half(65504.0f), 0x7bff);
  EXPECT_EQ(float_to_half(65519.99f), 0x7bff);
  EXPECT_EQ(float_to_half(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_half(-INFINITY), 0xfc00);
}

}  // namespace
}  // namespace diabolo
