// The float mathematics of kernels/common against the C library's in double, over a walk through
// the floats; where the Huber loss bends.
#include "kernels/common/math.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>

#include "kernels/common/losses.h"

namespace diabolo::kernels {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

struct Worst {
  double ulp = 0;
  float at = 0;
};

// The largest error of `function` in units of 2^-24 of the result, over every `stride`-th float
// between low and high whose result is normal.
template <class Function, class Truth>
Worst walk(Function function, Truth truth, float low, float high) {
  constexpr uint32_t kStride = 463;
  Worst worst;
  for (uint64_t bits = 0; bits <= 0xffffffffu; bits += kStride) {
    const float x = std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (!(x >= low && x <= high)) continue;
    const double expected = truth(static_cast<double>(x));
    const double size = std::abs(expected);
    if (size < std::numeric_limits<float>::min() || size > std::numeric_limits<float>::max()) {
      continue;
    }
    const double ulp = std::abs(static_cast<double>(function(x)) - expected) / size * 0x1p24;
    if (!(ulp <= worst.ulp)) worst = {ulp, x};
  }
  return worst;
}

#define EXPECT_WITHIN_ULP(function, truth, low, high)                                            \
  do {                                                                                           \
    const Worst worst =                                                                          \
        walk([](float x) { return function(x); }, [](double x) { return truth(x); }, low, high); \
    EXPECT_LE(worst.ulp, kMathUlp) << #function " is worst at " << worst.at;                     \
    EXPECT_GT(worst.ulp, 0) << "a walk that finds no error at all has not walked";               \
  } while (false)

TEST(Math, ExpIsExactToKMathUlp) {
  EXPECT_WITHIN_ULP(exp_of, std::exp, -kInf, kInf);
}
TEST(Math, Log1pIsExactToKMathUlp) {
  EXPECT_WITHIN_ULP(log1p_of, std::log1p, 0.0f, 1.0f);
}
TEST(Math, TanhIsExactToKMathUlp) {
  EXPECT_WITHIN_ULP(tanh_of, std::tanh, -kInf, kInf);
}
TEST(Math, ErfIsExactToKMathUlp) {
  EXPECT_WITHIN_ULP(erf_of, std::erf, -kInf, kInf);
}

// log(x) near 1 has the relative accuracy of x - 1, which is exact.
TEST(Math, LogOfAShareIsExactToKMathUlp) {
  EXPECT_WITHIN_ULP(log_of_share, std::log, std::numeric_limits<float>::min(), 1.0f);
}

TEST(Math, SinAndCosOfTurnsAreExactToKMathUlpOfOne) {
  for (uint32_t k = 0; k < (1u << 24); k += 7) {
    const float x = static_cast<float>(k) * 0x1p-24f;
    const SinCos at = sin_cos_of_turns(x);
    const double angle = 2 * std::numbers::pi * static_cast<double>(x);
    ASSERT_NEAR(at.sin, std::sin(angle), kMathUlp * 0x1p-24) << x;
    ASSERT_NEAR(at.cos, std::cos(angle), kMathUlp * 0x1p-24) << x;
  }
}

TEST(Math, EndsAreWhatTheyShouldBe) {
  EXPECT_EQ(exp_of(-kInf), 0.0f);
  EXPECT_EQ(exp_of(-200.0f), 0.0f);
  EXPECT_EQ(exp_of(0.0f), 1.0f);
  EXPECT_EQ(exp_of(kInf), kInf);
  EXPECT_EQ(exp_of(89.0f), kInf);
  EXPECT_EQ(tanh_of(kInf), 1.0f);
  EXPECT_EQ(tanh_of(-kInf), -1.0f);
  EXPECT_EQ(erf_of(kInf), 1.0f);
  EXPECT_EQ(erf_of(-kInf), -1.0f);
  EXPECT_EQ(erf_of(0.0f), 0.0f);
  EXPECT_EQ(log1p_of(0.0f), 0.0f);
  EXPECT_EQ(abs_of(-2.0f), 2.0f);
}

TEST(Math, ANanStaysOne) {
  const float nan = std::nanf("");
  EXPECT_TRUE(std::isnan(exp_of(nan)));
  EXPECT_TRUE(std::isnan(tanh_of(nan)));
  EXPECT_TRUE(std::isnan(erf_of(nan)));
  EXPECT_TRUE(std::isnan(log1p_of(nan)));
  for (int a = 0; a < kActivationCount; ++a) {
    with_activation(static_cast<Activation>(a), [&](auto act) {
      EXPECT_TRUE(std::isnan(act.forward(nan))) << kActivationNames[a];
    });
  }
}

// Where the two branches meet neither the derivative nor random numbers would tell which one it is.
TEST(Losses, HuberIsASquareUpToOneAndALineBeyond) {
  for (const double sign : {-1.0, 1.0}) {
    for (const double d : {0.0, 0.5, 0.99, 1.0, 1.01, 3.0}) {
      const auto at = HuberLoss::of(sign * d);
      EXPECT_DOUBLE_EQ(at.value, d <= 1 ? d * d / 2 : d - 0.5) << d;
      EXPECT_DOUBLE_EQ(at.d_z, sign * std::min(d, 1.0)) << d;
    }
  }
}

}  // namespace
}  // namespace diabolo::kernels
