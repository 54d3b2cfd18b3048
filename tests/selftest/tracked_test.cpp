// The bound that Tracked gives holds for every order of a sum, is not much larger than it must be,
// and is 0 where float arithmetic is exact.
#include "selftest/tracked.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "kernels/dense.h"

namespace diabolo::selftest {
namespace {

using F32 = Tracked<InF32>;

std::vector<float> random(size_t count, std::mt19937& engine, float size) {
  std::uniform_real_distribution<float> uniform(-size, size);
  std::vector<float> values(count);
  for (float& v : values) v = uniform(engine);
  return values;
}

TEST(Tracked, ASumHasItsBoundInEveryOrder) {
  std::mt19937 engine(1);
  double worst = 0;
  for (int round = 0; round < 200; ++round) {
    std::vector<float> a = random(257, engine, 1), b = random(257, engine, 1);
    F32 tracked(0);
    for (size_t k = 0; k < a.size(); ++k) tracked += F32(a[k]) * F32(b[k]);
    std::vector<float> terms(a.size());
    for (size_t k = 0; k < a.size(); ++k) terms[k] = a[k] * b[k];
    for (int order = 0; order < 3; ++order) {
      if (order == 1) std::sort(terms.begin(), terms.end());
      if (order == 2) std::shuffle(terms.begin(), terms.end(), engine);
      float sum = 0;
      for (float term : terms) sum += term;
      worst = std::max(worst, std::fabs(sum - tracked.value()) / tracked.error());
    }
  }
  EXPECT_LT(worst, 1);
  EXPECT_GT(worst, 1e-3) << "the bound has lost its grip";
}

// Adversarial: the large terms first, so that every later addition rounds at their size.
TEST(Tracked, TheBoundCountsLargeTermsThatComeFirst) {
  F32 tracked(0);
  for (int k = 0; k < 1000; ++k) tracked += F32(0.7f);
  tracked += F32(16777216.0f);
  float large_first = 16777216.0f;
  for (int k = 0; k < 1000; ++k) large_first += 0.7f;
  const double distance = std::fabs(large_first - tracked.value());
  EXPECT_GT(distance, 100);
  EXPECT_LT(distance, tracked.error());
}

TEST(Tracked, IntegersAreExact) {
  F32 sum(0);
  for (int k = -50; k < 90; ++k) sum += F32(k) * F32(3 * k);
  EXPECT_EQ(sum.error(), 0);
  EXPECT_EQ((sum / F32(4)).error(), 0);
  EXPECT_GT((F32(10) / F32(7)).error(), 0);
  EXPECT_GT((sum * F32(0.01f)).error(), 0);
  EXPECT_EQ((F32(1 << 20) * F32(8)).error(), 0);
  EXPECT_GT((F32(16777215.0) * F32(3) + F32(1)).error(), 0) << "beyond 2^24 quanta";
}

TEST(Tracked, Tf32IsExactUpToElevenBits) {
  using Tf32 = Tracked<InTf32>;
  EXPECT_EQ((Tf32(1023) * Tf32(5)).error(), 0);
  EXPECT_GT((Tf32(4097) * Tf32(5)).error(), 0);
  EXPECT_GT((Tf32(0.1f) * Tf32(0.3f)).error(), 0.03 * 0x1p-12);
}

TEST(Tracked, QuantumIsTheLargestPowerOfTwoThatDivides) {
  EXPECT_EQ(quantum_of(12), 4);
  EXPECT_EQ(quantum_of(-0.375), 0.125);
  EXPECT_EQ(quantum_of(1), 1);
  EXPECT_EQ(quantum_of(0x1p-149), 0x1p-149);
  EXPECT_TRUE(std::isinf(quantum_of(0)));
}

// Every activation and loss in float stays inside the bound of its definition, at z made by a short
// product as a layer makes it.
TEST(Tracked, BoundsEveryActivationAndLoss) {
  std::mt19937 engine(5);
  double worst = 0;
  for (int a = 0; a < kernels::kActivationCount; ++a) {
    for (int l = 0; l < kernels::kLossCount; ++l) {
      const auto activation = static_cast<kernels::Activation>(a);
      kernels::with_loss(activation, static_cast<kernels::Loss>(l), [&](auto element) {
        for (int round = 0; round < 4000; ++round) {
          const std::vector<float> x = random(8, engine, 3), w = random(8, engine, 1);
          F32 z(0), t(w[0]);
          float z32 = 0;
          for (size_t k = 0; k < x.size(); ++k) {
            z += F32(x[k]) * F32(w[k]);
            z32 += x[k] * w[k];
          }
          ambiguity.count = 0;
          const auto expected = element.of(z, t);
          const auto actual = element.of(z32, w[0]);
          if (ambiguity.count > 0) continue;
          for (const auto& [e, v] :
               {std::pair{expected.value, actual.value}, std::pair{expected.d_z, actual.d_z}}) {
            const double distance = std::fabs(e.value() - v);
            EXPECT_LE(distance, e.error()) << kernels::name(activation) << " loss " << l;
            if (e.error() > 0) worst = std::max(worst, distance / e.error());
          }
        }
      });
    }
  }
  EXPECT_GT(worst, 0.05) << "the bound has lost its grip";
}

TEST(Tracked, ExtremesStayFinite) {
  for (int a = 0; a < kernels::kActivationCount; ++a) {
    kernels::with_activation(static_cast<kernels::Activation>(a), [&](auto act) {
      for (float z : {-1e30f, -1e6f, -200.0f, -1e-30f, 0.0f, 1e-30f, 200.0f, 1e6f}) {
        const F32 expected = act.forward(F32(z));
        const float actual = act.forward(z);
        EXPECT_FALSE(std::isnan(expected.value())) << a << " at " << z;
        EXPECT_LE(std::fabs(expected.value() - actual), expected.error()) << a << " at " << z;
      }
    });
  }
}

TEST(Tracked, AComparisonThatTheErrorCouldTurnIsCountedAndCanBeTurned) {
  const F32 nearly_zero = F32(0.1f) * F32(0.1f) - F32(0.01f) - F32(2.2351741e-10f);
  ambiguity = {};
  const bool by_value = nearly_zero > F32(0);
  EXPECT_EQ(ambiguity.count, 1);
  ambiguity.choice = Ambiguity::Choice::kTrue;
  EXPECT_TRUE(nearly_zero > F32(0));
  ambiguity.choice = Ambiguity::Choice::kFalse;
  EXPECT_FALSE(nearly_zero > F32(0));
  ambiguity = {};
  EXPECT_EQ(by_value, nearly_zero.value() > 0);
  EXPECT_TRUE(F32(3) > F32(2));
  EXPECT_EQ(ambiguity.count, 0);
}

// A float32 kernel that sums in bf16, or forgets one term, is outside.
TEST(Tracked, SeesLowPrecisionAndAMissingTerm) {
  std::mt19937 engine(9);
  const std::vector<float> a = random(300, engine, 1), b = random(300, engine, 1);
  F32 tracked(0);
  float low = 0, missing = 0;
  for (size_t k = 0; k < a.size(); ++k) {
    tracked += F32(a[k]) * F32(b[k]);
    low = kernels::to_float(kernels::to_bf16(low + a[k] * b[k]));
    if (k != 299) missing += a[k] * b[k];
  }
  EXPECT_GT(std::fabs(low - tracked.value()), 10 * tracked.error());
  EXPECT_GT(std::fabs(missing - tracked.value()), 10 * tracked.error());
}

}  // namespace
}  // namespace diabolo::selftest
