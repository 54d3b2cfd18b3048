// The device branches of kernels/common/math.h and philox.h against the C library's in double: the
// branches that the host never takes.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <numbers>
#include <random>
#include <vector>

#include "cuda_host/device_array.h"
#include "cuda_host/schedules.h"
#include "cuda_native/math_kernels.h"
#include "kernels/common/math.h"

namespace diabolo {
namespace {

using math_kernels::Function;
using test::DeviceArray;

class MathNative : public testing::Test {
 protected:
  void SetUp() override { test::skip_or_fail_without_device(); }

  // Floats spread over all exponents, those between low and high.
  static std::vector<float> spread(float low, float high) {
    std::vector<float> values;
    for (uint64_t bits = 0; bits <= 0xFFFFFFFF; bits += 32749) {
      const auto x = std::bit_cast<float>(static_cast<uint32_t>(bits));
      if (x >= low && x <= high) values.push_back(x);
    }
    return values;
  }

  // Within kMathUlp where the result is normal.
  static void expect_close(Function function, double (*truth)(double), float low, float high) {
    const std::vector<float> in = spread(low, high);
    const DeviceArray<float> x(in), y(in.size());
    test::run_on_device([&](void* stream) {
      launch(math_kernels::Values{function, static_cast<int>(in.size()), x.data(), y.data()},
             stream);
    });
    const std::vector<float> out = y.read();
    ASSERT_GT(in.size(), 1000u);
    for (size_t i = 0; i < in.size(); ++i) {
      const double expected = truth(in[i]), size = std::abs(expected);
      if (size < std::numeric_limits<float>::min() || size > std::numeric_limits<float>::max())
        continue;
      ASSERT_LE(std::abs(out[i] - expected) / size * 0x1p24, kernels::kMathUlp) << in[i];
    }
  }
};

constexpr float kMost = std::numeric_limits<float>::max();

TEST_F(MathNative, Exp) {
  expect_close(Function::kExp, std::exp, -kMost, kMost);
}
TEST_F(MathNative, Log1p) {
  expect_close(Function::kLog1p, std::log1p, 0, 1);
}
TEST_F(MathNative, Tanh) {
  expect_close(Function::kTanh, std::tanh, -kMost, kMost);
}
TEST_F(MathNative, Erf) {
  expect_close(Function::kErf, std::erf, -kMost, kMost);
}

TEST_F(MathNative, Normals) {
  std::mt19937 random(5);
  std::vector<uint32_t> radius(20000), angle(20000);
  for (auto& bits : radius) bits = static_cast<uint32_t>(random());
  for (auto& bits : angle) bits = static_cast<uint32_t>(random());
  radius[0] = 0;
  radius[1] = 0xFFFFFFFF;
  angle[2] = 0;
  angle[3] = 0xFFFFFFFF;
  const DeviceArray<uint32_t> r(radius), a(angle);
  const DeviceArray<float> out(2 * radius.size());
  test::run_on_device([&](void* stream) {
    launch(math_kernels::Normals{static_cast<int>(radius.size()), r.data(), a.data(), out.data()},
           stream);
  });
  const std::vector<float> normals = out.read();
  for (size_t i = 0; i < radius.size(); ++i) {
    const double u = ((radius[i] >> 8) + 0.5) * 0x1p-24;
    // u has the 24 bits of a float: near 1 that is what the logarithm is of.
    const double length = std::sqrt(-2 * std::log(static_cast<double>(static_cast<float>(u))));
    const double turn = 2 * std::numbers::pi * (angle[i] >> 8) * 0x1p-24;
    ASSERT_NEAR(normals[2 * i], length * std::cos(turn), 6e-7 * (1 + length)) << i;
    ASSERT_NEAR(normals[2 * i + 1], length * std::sin(turn), 6e-7 * (1 + length)) << i;
  }
}

}  // namespace
}  // namespace diabolo
