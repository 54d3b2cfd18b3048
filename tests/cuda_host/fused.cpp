// The tests of the kernels that are compiled with fused multiply-adds run where the CPU has them,
// and are of use only if the compiler did fuse.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "cuda_host/device_array.h"
#include "cuda_host/kernel_run.h"
#include "kernels/penalty.h"

namespace diabolo {
namespace {

class NeedsFma : public ::testing::Environment {
 public:
  void SetUp() override {
    test::runs_every_schedule() = true;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("fma")) return;
    std::puts("skipped: this CPU has no fused multiply-add");  // an environment's is not printed
    GTEST_SKIP() << "this CPU has no fused multiply-add";
#endif
  }
};

[[maybe_unused]] const ::testing::Environment* const kNeedsFma =
    ::testing::AddGlobalTestEnvironment(new NeedsFma);

float sum_of_squares(const std::vector<float>& values) {
  const test::DeviceArray<float> x(values), out(1);
  test::run_kernel(
      kernels::L2Penalty<float>{static_cast<int64_t>(values.size()), 1.0f, x.data(), out.data()});
  return out.read()[0];
}

// a^2 + b^2 = 1 + 2^-11 + 2^-23 is a float, but a^2 is none: rounded on its own it loses 2^-24, and
// what is left of the sum is a tie that goes to 1 + 2^-11. Which of two products is fused is the
// compiler's choice.
TEST(Fused, AProductGoesIntoASumUnrounded) {
  const float a = 1 + 0x1p-12f, b = 0x1p-12f;
  EXPECT_EQ(std::max(sum_of_squares({a, b}), sum_of_squares({b, a})), 1 + 0x1p-11f + 0x1p-23f);
}

}  // namespace
}  // namespace diabolo
