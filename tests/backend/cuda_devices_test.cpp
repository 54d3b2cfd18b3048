// What a build says about CUDA devices on the machine that it runs on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "backend/backend.h"
#include "base/error.h"

namespace diabolo {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(CudaDevices, AreListedOrTheReasonIsOneLine) {
  const CudaDevices list = list_cuda_devices();
  const char* require = std::getenv("DIABOLO_REQUIRE_CUDA");
  if (require != nullptr && *require == '1') {
    ASSERT_FALSE(list.devices.empty()) << list.why_none;
  }
  EXPECT_EQ(list.devices.empty(), !list.why_none.empty());
  EXPECT_THAT(list.why_none, Not(HasSubstr("\n")));
  for (const DeviceInfo& device : list.devices) {
    EXPECT_EQ(device.space, Space::kCuda);
    EXPECT_GE(device.cuda.arch, 80);
    EXPECT_GT(device.cuda.multiprocessors, 0);
  }
}

TEST(CudaDevices, ADeviceThatCannotBeUsedIsAnErrorWithTheSameReason) {
  const CudaDevices list = list_cuda_devices();
  if (!list.devices.empty()) GTEST_SKIP() << "this machine has " << list.devices[0].name;
  try {
    create_cuda_backend();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDevice);
    EXPECT_EQ(error.what(), list.why_none);
  }
}

}  // namespace
}  // namespace diabolo
