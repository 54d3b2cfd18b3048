// Which CUDA devices there are, which of them this build can use, and why not the others.
#pragma once

#include <string>
#include <string_view>

#include "backend/device_info.h"

namespace diabolo::cuda {

// What the kernels of this build were compiled for, as CMake lists it: "80-real;90a-real".
const char* built_architectures();

// True if code compiled for `architectures` runs on a device of compute capability `arch` (major *
// 10 + minor): real code on the same major version and no lower minor, an `a` target on exactly
// its own, virtual code (PTX) on everything from its own on. An entry without a suffix is both.
bool runs_on(std::string_view architectures, int arch);

// Why no device can be used at all; empty if there are some. Never initialises a device.
std::string why_no_devices(int* count);

// The device with this index and, if it cannot be used, the reason.
struct Candidate {
  DeviceInfo info;
  std::string refusal;
};
Candidate examine_device(int index);

}  // namespace diabolo::cuda
