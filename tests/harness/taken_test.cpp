// The ladder runs the kernels that take a case; one that refuses it is only missing there. So every
// case must be taken on every CUDA device that there may be, whatever this machine has.
#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "backend/device_info.h"
#include "ops/add.h"
#include "ops/registry.h"
#include "selftest/check.h"

namespace diabolo {
namespace {

using selftest::Case;

// By a kernel that needs no cuBLASLt, in a build that has it.
bool is_taken(const Case& test_case, std::span<const Kernel> kernels, const DeviceInfo& device) {
  return std::any_of(kernels.begin(), kernels.end(), [&](const Kernel& kernel) {
    if (kernel.needs_policy_fast) return false;
    const std::string reason = selftest::refusal(test_case, kernel, device);
    return reason.empty() || reason == "not in this build";
  });
}

// The reference alone has it.
bool is_of_f64(const Case& test_case) {
  const auto is_f64 = [](const auto& operand) { return operand.desc.dtype() == DType::kF64; };
  return std::any_of(test_case.in.begin(), test_case.in.end(), is_f64);
}

// Those of all ops that nothing takes; how many were asked for is added to `count`.
std::vector<std::string> not_taken(const DeviceInfo& device, int& count) {
  std::vector<std::string> names;
  for (const OpDef* op : all_ops()) {
    for (const Case& test_case : cases_of(*selftest::find_cases(*op))) {
      if (is_of_f64(test_case)) continue;
      ++count;
      if (!is_taken(test_case, op->kernels, device)) names.push_back(test_case.name);
    }
  }
  return names;
}

TEST(LadderTaken, EveryCaseOnEveryCudaDevice) {
  int count = 0;
  for (const char* name : known_device_names()) {
    DeviceInfo device = *device_from_name(name);
    if (device.space != Space::kCuda) continue;
    for (const bool allows_tf32 : {false, true}) {
      device.cuda.allows_tf32 = allows_tf32;
      EXPECT_EQ(not_taken(device, count), std::vector<std::string>()) << "on " << name;
    }
  }
  EXPECT_GT(count, 1000);
}

TEST(LadderTaken, SeesACaseThatIsRefused) {
  const DeviceInfo device = *device_from_name("sm_90");
  std::vector<Kernel> kernels(kAdd.kernels.begin(), kAdd.kernels.end());
  const Case test_case = cases_of(selftest::kAddCases)[0];
  EXPECT_TRUE(is_taken(test_case, kernels, device));
  for (Kernel& kernel : kernels)
    if (kernel.space == Space::kCuda)
      kernel.accepts = [](const Call&, const DeviceInfo&) -> std::string { return "no"; };
  EXPECT_FALSE(is_taken(test_case, kernels, device));
}

}  // namespace
}  // namespace diabolo
