// Every call of the CUDA runtime goes through check(); every public function of the backend leaves
// the caller's current device as it found it.
#pragma once

#include <cuda_runtime_api.h>

#include <exception>
#include <string>

namespace diabolo::cuda {

// Does nothing on success. Otherwise clears the runtime's last error, so that it is not reported a
// second time by whoever looks next, and throws Error: kResource for memory, else kDevice.
void check(cudaError_t status, const char* call);

// "cudaMalloc: out of memory (cudaErrorMemoryAllocation)", and what to do about it.
std::string describe(cudaError_t status, const char* call);

// True for errors that leave the device unusable for the rest of the process.
bool is_sticky(cudaError_t status);

// The exception in flight, a LaunchError turned into the Error that the caller is promised. Call
// inside a catch block.
std::exception_ptr current_failure();

// Makes `device` the current one while it lives.
class DeviceGuard {
 public:
  explicit DeviceGuard(int device);
  ~DeviceGuard();
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;

 private:
  int previous_ = 0;
  bool changed_ = false;
};

}  // namespace diabolo::cuda
