#include "selftest/targets.h"

namespace diabolo::selftest {
namespace {

std::vector<DeviceInfo> host_variants(DeviceInfo device) {
  std::vector<DeviceInfo> variants;
  const std::string name = device.name;
  const auto without = [&](bool& feature, const char* text) {
    if (!feature) return;
    feature = false;
    device.name = name + " without " + text;
    variants.push_back(device);
  };
  without(device.cpu.has_bf16, "bf16");
  without(device.cpu.has_avx512, "AVX-512");
  without(device.cpu.has_avx2, "AVX2");
  return variants;
}

std::vector<DeviceInfo> cuda_variants(const DeviceInfo& device) {
  constexpr int kVeryMany = 4096;
  std::vector<DeviceInfo> variants(3, device);
  variants[0].cuda.allows_tf32 = true;
  variants[0].name += " with tf32";
  variants[1].cuda.multiprocessors = 1;
  variants[1].name += " as one multiprocessor";
  variants[2].cuda.multiprocessors = kVeryMany;
  variants[2].name += " as very many multiprocessors";
  return variants;
}

}  // namespace

std::vector<Target> targets_of(Backend& backend, Stream& stream) {
  const DeviceInfo& device = backend.info();
  std::vector<Target> targets = {{backend, stream, device}};
  const bool is_host = device.space == Space::kHost;
  for (const DeviceInfo& variant : is_host ? host_variants(device) : cuda_variants(device))
    targets.push_back({backend, stream, variant});
  return targets;
}

}  // namespace diabolo::selftest
