// From the text that a program gives for a device to a backend.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "backend/backend.h"
#include "base/log.h"
#include "model/config.h"

namespace diabolo::capi {

// "auto", "cpu", "cuda" or "cuda:N"; for auto one line to the log says what was chosen and why.
// Throws Error{kUsage} for other text and for more threads than the process may run on,
// Error{kDevice} where an explicit cuda cannot be had.
std::unique_ptr<Backend> open_device(const std::string& device, uint64_t threads, const Log& log);

// Throws Error{kUsage} if the device cannot compute in that precision.
void check_precision(const DeviceInfo& device, Precision precision);

}  // namespace diabolo::capi
