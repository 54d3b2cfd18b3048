// bf16 conversions, Philox.
#include "kernels/common/scalar.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/common/philox.h"
#include "kernels/weigh_term.h"

namespace diabolo::kernels {
namespace {

// 0 times infinity would end a training whose warm-up begins.
TEST(WeighTerm, WithoutWeightIsZeroWhateverTheRawValueIs) {
  float contribution = 1, weight = 1;
  for (const float raw : {3.0f, std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity(), std::nanf("")}) {
    weigh_term(WeighTerm<float>{
        .constant = 0, .raw = &raw, .contribution = &contribution, .weight = &weight});
    EXPECT_EQ(contribution, 0) << raw;
    EXPECT_EQ(weight, 0);
  }
}

TEST(Bf16, EveryValueSurvivesTheWayToFloatAndBack) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const Bf16 value{static_cast<uint16_t>(bits)};
    const float wide = to_float(value);
    if (std::isnan(wide)) {
      EXPECT_TRUE(std::isnan(to_float(to_bf16(wide))));
    } else {
      ASSERT_EQ(to_bf16(wide).bits, value.bits);
    }
  }
}

// The neighbours of a float that lies between two bf16 values, told from their distances; equal
// distances go to the even one. Beyond the largest bf16 the next step would be 2^128.
uint16_t nearest_bf16(float value) {
  const auto down = static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
  const auto up = static_cast<uint16_t>(down + 1);
  const auto size = [](uint16_t bits) {
    if ((bits & 0x7fff) == 0x7f80) return 0x1p128;
    return std::abs(static_cast<double>(to_float({bits})));
  };
  const double to_down = std::abs(static_cast<double>(value)) - size(down);
  const double to_up = size(up) - std::abs(static_cast<double>(value));
  if (to_down == to_up) return down % 2 == 0 ? down : up;
  return to_down < to_up ? down : up;
}

TEST(Bf16, RoundsToTheNearestTiesToEven) {
  constexpr uint32_t kLowHalves[] = {0, 1, 0x1234, 0x7ffe, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff};
  for (uint32_t high = 0; high <= 0xffff; ++high) {
    for (const uint32_t low : kLowHalves) {
      const float value = std::bit_cast<float>(high << 16 | low);
      if (std::isnan(value)) {
        ASSERT_TRUE(std::isnan(to_float(to_bf16(value))));
      } else if (!std::isinf(value)) {
        ASSERT_EQ(to_bf16(value).bits, nearest_bf16(value)) << value;
      }
    }
  }
  EXPECT_EQ(to_float(to_bf16(std::numeric_limits<float>::infinity())),
            std::numeric_limits<float>::infinity());
}

// kat_vectors of Random123, philox4x32 with 10 rounds.
TEST(Philox, GivesTheKnownAnswers) {
  struct Known {
    Philox4 counter;
    uint64_t key;
    Philox4 result;
  };
  constexpr Known kKnown[] = {
      {{{0, 0, 0, 0}}, 0, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}},
      {{{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}},
       0xffffffffffffffff,
       {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}},
      {{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
       0x299f31d0a4093822,
       {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}},
  };
  for (const Known& known : kKnown) {
    const Philox4 result = philox4x32(known.counter, known.key);
    for (int j = 0; j < 4; ++j) EXPECT_EQ(result.lane[j], known.result.lane[j]);
  }
}

TEST(Philox, EveryPartOfTheNameOfADrawMatters) {
  const RandomKey key{1, RandomPurpose::kDropout, 3};
  const float draw = uniform_at(key, 4, 5);
  EXPECT_EQ(uniform_at(key, 4, 5), draw);
  EXPECT_NE(uniform_at({2, RandomPurpose::kDropout, 3}, 4, 5), draw);
  EXPECT_NE(uniform_at({1, RandomPurpose::kDropout + 1, 3}, 4, 5), draw);
  EXPECT_NE(uniform_at({1, RandomPurpose::kDropout, 4}, 4, 5), draw);
  EXPECT_NE(uniform_at(key, 5, 5), draw);
  EXPECT_NE(uniform_at(key, 4, 6), draw);
}

TEST(Philox, UniformAndNormalHaveTheirMoments) {
  constexpr int kDraws = 1 << 20;
  const RandomKey key{7, RandomPurpose::kCorruption, 0};
  double mean = 0, square = 0, normal_mean = 0, normal_square = 0, normal_fourth = 0;
  for (int k = 0; k < kDraws; ++k) {
    const double u = uniform_at(key, 0, k);
    ASSERT_TRUE(u >= 0 && u < 1);
    const double z = normal_at(key, 1, k);
    mean += u / kDraws;
    square += u * u / kDraws;
    normal_mean += z / kDraws;
    normal_square += z * z / kDraws;
    normal_fourth += z * z * z * z / kDraws;
  }
  // Five standard errors: sqrt(var / n).
  EXPECT_NEAR(mean, 1.0 / 2, 5 * std::sqrt(1.0 / 12 / kDraws));
  EXPECT_NEAR(square, 1.0 / 3, 5 * std::sqrt(4.0 / 45 / kDraws));
  EXPECT_NEAR(normal_mean, 0, 5 * std::sqrt(1.0 / kDraws));
  EXPECT_NEAR(normal_square, 1, 5 * std::sqrt(2.0 / kDraws));
  EXPECT_NEAR(normal_fourth, 3, 5 * std::sqrt(96.0 / kDraws));
}

TEST(Philox, TheEndsOfANormalAreFinite) {
  for (const uint32_t radius : {0u, 0xffu, 0xffffffffu}) {
    for (const uint32_t angle : {0u, 0x40000000u, 0x80000000u, 0xffffffffu}) {
      for (const int lane : {0, 1}) {
        EXPECT_TRUE(std::isfinite(normal_from(radius, angle, lane))) << radius << ' ' << angle;
      }
    }
  }
}

}  // namespace
}  // namespace diabolo::kernels
