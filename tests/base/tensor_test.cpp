#include "base/tensor.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/checked.h"
#include "base/error.h"

namespace diabolo {
namespace {

TEST(TensorDesc, PrintsTypeAndExtents) {
  EXPECT_EQ(TensorDesc(DType::kF32, {256, 784}).text(), "f32[256,784]");
  EXPECT_EQ(TensorDesc(DType::kU8, {}).text(), "u8[]");
}

TEST(TensorDesc, CountsBeyondTwoToThe31) {
  const TensorDesc desc(DType::kF32, {int64_t{1} << 20, 4096});
  EXPECT_EQ(desc.elems(), int64_t{1} << 32);
  EXPECT_EQ(desc.bytes(), uint64_t{1} << 34);
}

TEST(TensorDesc, AnExtentOfZeroIsExactWhateverTheOthersAre) {
  const int64_t huge = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(TensorDesc(DType::kF64, {huge, 0, huge}).elems(), 0);
}

TEST(TensorDesc, ASizeThatDoesNotFitIsAnErrorOfTheEnvironment) {
  try {
    TensorDesc(DType::kF32, {int64_t{1} << 40, int64_t{1} << 40});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kResource);
  }
}

TEST(Checked, SaysWhatDoesNotFit) {
  EXPECT_EQ(checked_mul<uint64_t>(1ull << 32, 1ull << 31), 1ull << 63);
  EXPECT_FALSE(checked_mul<uint64_t>(1ull << 32, 1ull << 32));
  EXPECT_FALSE(checked_add<int64_t>(std::numeric_limits<int64_t>::max(), 1));
  EXPECT_EQ(checked_align_up<uint64_t>(65, 64), 128u);
  EXPECT_FALSE(checked_align_up<uint64_t>(~0ull, 64));
  EXPECT_FALSE((checked_cast<int32_t>(int64_t{1} << 31)));
}

}  // namespace
}  // namespace diabolo
