// What the choice of a kernel may know about a device; a plain value, so that a plan can be made
// for a device that is not there.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kernels/cuda/cuda.h"

namespace diabolo {

enum class Space : uint8_t { kHost, kCuda };

struct DeviceInfo {
  Space space = Space::kHost;
  std::string name;           // "AMD EPYC 9V74", "NVIDIA H100 80GB HBM3"
  uint64_t memory_bytes = 0;  // all there is
  // Host
  int threads = 1;
  bool has_bf16 = false;  // products of bf16: AVX-512 BF16 or AMX; every CUDA device we support
  // CUDA
  int index = 0;
  kernels::cuda::Device cuda;
};

// The device of `--for`: "cpu", or "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120" as
// NVIDIA's documentation describes a typical board of that architecture. Empty if unknown.
std::optional<DeviceInfo> device_from_name(std::string_view name);
std::span<const char* const> known_device_names();

}  // namespace diabolo
