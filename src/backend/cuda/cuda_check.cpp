#include "backend/cuda/cuda_check.h"

#include "backend/cuda/cuda_devices.h"
#include "base/error.h"
#include "kernels/cuda/cuda.h"

namespace diabolo::cuda {

namespace {

ErrorCode code_of(cudaError_t status) {
  return status == cudaErrorMemoryAllocation ? ErrorCode::kResource : ErrorCode::kDevice;
}

std::string advice(cudaError_t status) {
  if (is_sticky(status)) {
    return "; this process cannot use the device any more: start it again, and report this";
  }
  if (status == cudaErrorNoKernelImageForDevice || status == cudaErrorUnsupportedPtxVersion) {
    return cat("; this build has kernels for ", built_architectures(),
               ": configure with -DCMAKE_CUDA_ARCHITECTURES for this device");
  }
  return "";
}

}  // namespace

bool is_sticky(cudaError_t status) {
  switch (status) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorECCUncorrectable:
      return true;
    default:
      return false;
  }
}

std::string describe(cudaError_t status, const char* call) {
  return cat(call, ": ", cudaGetErrorString(status), " (", cudaGetErrorName(status), ")",
             advice(status));
}

void check(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  (void)cudaGetLastError();
  throw Error(code_of(status), cat("CUDA: ", describe(status, call)));
}

std::exception_ptr current_failure() {
  try {
    throw;
  } catch (const kernels::cuda::LaunchError& error) {
    (void)cudaGetLastError();
    const auto status = static_cast<cudaError_t>(error.cuda_error());
    return std::make_exception_ptr(
        Error(code_of(status), cat("CUDA: ", error.what(), advice(status))));
  } catch (...) {
    return std::current_exception();
  }
}

DeviceGuard::DeviceGuard(int device) {
  check(cudaGetDevice(&previous_), "cudaGetDevice");
  if (previous_ == device) return;
  check(cudaSetDevice(device), "cudaSetDevice");
  changed_ = true;
}

DeviceGuard::~DeviceGuard() {
  if (changed_) (void)cudaSetDevice(previous_);
}

}  // namespace diabolo::cuda
