// What the choice of a kernel may know about a device; a plain value, so that a plan can be made
// for a device that is not there.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kernels/cpu/features.h"
#include "kernels/cuda/cuda.h"

namespace diabolo {

enum class Space : uint8_t { kHost, kCuda };

struct DeviceInfo {
  Space space = Space::kHost;
  std::string name;               // "AMD EPYC 9V74", "NVIDIA H100 80GB HBM3"
  uint64_t memory_bytes = 0;      // all there is
  kernels::cpu::CpuFeatures cpu;  // of the host
  int index = 0;                  // of a CUDA device, and what kernels may know of it
  kernels::cuda::Device cuda;
};

// The device of `--for`: "cpu", or "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120" as
// NVIDIA's documentation describes a typical board of that architecture. Empty if unknown.
std::optional<DeviceInfo> device_from_name(std::string_view name);
std::span<const char* const> known_device_names();

}  // namespace diabolo
