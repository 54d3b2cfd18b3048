// Which products cuBLASLt is asked for, and what is said where it cannot be had. Pure but for
// a look for the library, so these run everywhere.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "kernels/cuda/cublaslt.h"
#include "kernels/cuda/cublaslt_library.h"
#include "kernels/dense.h"

namespace diabolo::kernels::cuda {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Device h100() {
  Device device;
  device.arch = 90;
  device.multiprocessors = 132;
  return device;
}

template <class T>
DenseForward<T> layer(int64_t B, int64_t I, int64_t O) {
  DenseForward<T> p;
  p.shape = {B, I, O};
  return p;
}

TEST(CublasltChoose, FromOneFullWaveOfTheLargestTile) {
  const auto wins = [](int64_t m, int64_t n) {
    return cublaslt::is_expected_to_win({m, n, 512}, true, false, h100());
  };
  EXPECT_TRUE(wins(128 * 132, 128));
  EXPECT_TRUE(wins(128 * 131 + 1, 1));
  EXPECT_FALSE(wins(128 * 131, 128));
  EXPECT_FALSE(wins(1, 1 << 14));
  EXPECT_TRUE(wins(int64_t{1} << 31, 1 << 20));
}

TEST(CublasltChoose, ASecondPassHasToBeWorthIt) {
  const auto wins = [](int64_t k, bool is_bf16) {
    return cublaslt::is_expected_to_win({65536, 512, k}, is_bf16, true, h100());
  };
  EXPECT_FALSE(wins(131, false));
  EXPECT_TRUE(wins(132, false));
  EXPECT_FALSE(wins(16 * 132 - 1, true));
  EXPECT_TRUE(wins(16 * 132, true));
}

TEST(CublasltChoose, SaysWhatItDoesNotTake) {
  const Device device = h100();
  const auto why_not = [&](const auto& p) { return cublaslt::refusal(p, device); };
  EXPECT_THAT(why_not(layer<float>(256, 512, 512)), HasSubstr("too small"));
  EXPECT_THAT(why_not(layer<float>(65536, 510, 512)), HasSubstr("16 bytes"));
  EXPECT_THAT(why_not(layer<float>(65536, 512, 510)), HasSubstr("16 bytes"));
  EXPECT_THAT(why_not(layer<Bf16>(65536, 516, 512)), HasSubstr("16 bytes"));
  EXPECT_THAT(why_not(layer<float>(int64_t{1} << 31, 512, 512)), HasSubstr("2^31 rows"));
  EXPECT_THAT(why_not(layer<float>(0, 512, 512)), HasSubstr("extent is 0"));
  Device old = device, with_tf32 = device;
  old.arch = 75;
  with_tf32.allows_tf32 = true;
  const auto large = layer<float>(65536, 512, 512);
  EXPECT_THAT(cublaslt::refusal(large, old), HasSubstr("sm_80"));
  EXPECT_THAT(cublaslt::refusal(large, with_tf32), HasSubstr("tf32"));
}

TEST(CublasltChoose, ALargeLayerNeedsTheLibraryAndNothingElse) {
  const Device device = h100();
  const std::string& missing = cublaslt_library().why_not;
  EXPECT_EQ(cublaslt::refusal(layer<float>(65536, 784, 512), device), missing);
  EXPECT_EQ(cublaslt::refusal(layer<Bf16>(65536, 784, 512), device), missing);
  DenseDataGrad<Bf16> gradient;
  gradient.shape = {65536, 784, 512};
  EXPECT_EQ(cublaslt::refusal(gradient, device), missing);
}

TEST(CublasltChoose, OurPassFinishesWhatTheLibraryDoesNotDoAsWeDo) {
  float bias = 0, z = 0;
  auto f32 = layer<float>(64, 64, 64);
  EXPECT_FALSE(cublaslt::needs_finish(f32));
  f32.bias = &bias;
  EXPECT_FALSE(cublaslt::needs_finish(f32));
  f32.z = &z;
  EXPECT_TRUE(cublaslt::needs_finish(f32));
  f32.z = nullptr;
  f32.activation = Activation::kRelu;
  EXPECT_TRUE(cublaslt::needs_finish(f32));
  auto bf16 = layer<Bf16>(64, 64, 64);
  EXPECT_FALSE(cublaslt::needs_finish(bf16));
  bf16.bias = &bias;
  EXPECT_TRUE(cublaslt::needs_finish(bf16));
}

TEST(CublasltChoose, ScratchIsTheWorkspaceAndAnUnfinishedBf16Product) {
  Device device = h100();
  constexpr uint64_t kMiB = 1 << 20;
  auto f32 = layer<float>(1000, 64, 72);
  auto bf16 = layer<Bf16>(1000, 64, 72);
  EXPECT_EQ(cublaslt::scratch_bytes(f32, device), 32 * kMiB);
  EXPECT_EQ(cublaslt::scratch_bytes(bf16, device), 32 * kMiB);
  f32.activation = bf16.activation = Activation::kRelu;
  EXPECT_EQ(cublaslt::scratch_bytes(f32, device), 32 * kMiB);
  EXPECT_EQ(cublaslt::scratch_bytes(bf16, device), 32 * kMiB + 1000 * 72 * 4);
  device.arch = 89;
  EXPECT_EQ(cublaslt::scratch_bytes(f32, device), 4 * kMiB);
}

TEST(CublasltLibrary, OneThatIsMissingIsNamed) {
  constexpr std::array kNames = {"libdiabolo-none.so.13", "libdiabolo-none.so.12"};
  const OpenedLibrary opened = open_library(kNames);
  EXPECT_EQ(opened.handle, nullptr);
  EXPECT_THAT(opened.why_not,
              HasSubstr("needs libdiabolo-none.so.13 or libdiabolo-none.so.12, which cannot"));
}

TEST(CublasltLibrary, TheFirstThatOpensIsTaken) {
  constexpr std::array kNames = {"libdiabolo-none.so.13", "libc.so.6"};
  const OpenedLibrary opened = open_library(kNames);
  EXPECT_NE(opened.handle, nullptr);
  EXPECT_EQ(opened.name, "libc.so.6");
  EXPECT_EQ(opened.why_not, "");
}

}  // namespace
}  // namespace diabolo::kernels::cuda
