// Devices, versions and errors.
#include <cstdio>

#include "device_memory.h"
#include "runtime.h"

using namespace fake_cuda;

namespace {

struct ErrorText {
  cudaError_t status;
  const char* name;
  const char* text;
};

#define FAKE_CUDA_ERROR(status, text) \
  ErrorText {                         \
    status, #status, text             \
  }
constexpr ErrorText kErrors[] = {
    FAKE_CUDA_ERROR(cudaSuccess, "no error"),
    FAKE_CUDA_ERROR(cudaErrorInvalidValue, "invalid argument"),
    FAKE_CUDA_ERROR(cudaErrorMemoryAllocation, "out of memory"),
    FAKE_CUDA_ERROR(cudaErrorInitializationError, "initialization error"),
    FAKE_CUDA_ERROR(cudaErrorInvalidConfiguration, "invalid configuration argument"),
    FAKE_CUDA_ERROR(cudaErrorStubLibrary, "CUDA driver is a stub library"),
    FAKE_CUDA_ERROR(cudaErrorInsufficientDriver, "CUDA driver version is insufficient"),
    FAKE_CUDA_ERROR(cudaErrorNoDevice, "no CUDA-capable device is detected"),
    FAKE_CUDA_ERROR(cudaErrorInvalidDevice, "invalid device ordinal"),
    FAKE_CUDA_ERROR(cudaErrorNoKernelImageForDevice, "no kernel image for the device"),
    FAKE_CUDA_ERROR(cudaErrorInvalidResourceHandle, "invalid resource handle"),
    FAKE_CUDA_ERROR(cudaErrorNotReady, "device not ready"),
    FAKE_CUDA_ERROR(cudaErrorIllegalAddress, "an illegal memory access was encountered"),
    FAKE_CUDA_ERROR(cudaErrorLaunchOutOfResources, "too many resources requested for launch"),
    FAKE_CUDA_ERROR(cudaErrorLaunchFailure, "unspecified launch failure"),
    FAKE_CUDA_ERROR(cudaErrorStreamCaptureUnsupported,
                    "operation not permitted when stream is capturing"),
    FAKE_CUDA_ERROR(cudaErrorStreamCaptureInvalidated,
                    "operation failed due to a previous error during capture"),
    FAKE_CUDA_ERROR(cudaErrorStreamCaptureMerge, "operation would merge two captures"),
    FAKE_CUDA_ERROR(cudaErrorStreamCaptureUnmatched, "capture was not initiated in this stream"),
    FAKE_CUDA_ERROR(cudaErrorStreamCaptureUnjoined, "capturing stream has unjoined work"),
    FAKE_CUDA_ERROR(cudaErrorStreamCaptureIsolation, "dependency on uncaptured work"),
    FAKE_CUDA_ERROR(cudaErrorStreamCaptureImplicit,
                    "operation would make the legacy stream depend on a capturing blocking stream"),
    FAKE_CUDA_ERROR(cudaErrorCapturedEvent, "operation not permitted on a captured event"),
    FAKE_CUDA_ERROR(cudaErrorStreamCaptureWrongThread, "capture ended by another thread"),
};
#undef FAKE_CUDA_ERROR

const ErrorText* find(cudaError_t status) {
  for (const ErrorText& error : kErrors) {
    if (error.status == status) return &error;
  }
  return nullptr;
}

}  // namespace

namespace fake_cuda {

bool is_sticky(cudaError_t status) {
  return (status >= cudaErrorIllegalAddress && status <= cudaErrorLaunchFailure &&
          status != cudaErrorLaunchOutOfResources) ||
         status == cudaErrorECCUncorrectable;
}

}  // namespace fake_cuda

cudaError_t cudaGetLastError() {
  Runtime& runtime = Runtime::instance();
  const std::lock_guard lock(runtime.mutex);
  const cudaError_t status = last_error();
  last_error() = runtime.sticky;
  return status;
}

cudaError_t cudaPeekAtLastError() {
  return last_error();
}

const char* cudaGetErrorName(cudaError_t status) {
  const ErrorText* error = find(status);
  return error ? error->name : "cudaErrorUnknown";
}

const char* cudaGetErrorString(cudaError_t status) {
  const ErrorText* error = find(status);
  return error ? error->text : "unknown error";
}

cudaError_t cudaDriverGetVersion(int* version) {
  return call("cudaDriverGetVersion", kPlain, [&](Runtime& runtime) {
    *version = runtime.description.driver_version;
    return cudaSuccess;
  });
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  return call("cudaRuntimeGetVersion", kPlain, [&](Runtime&) {
    *version = Description().driver_version;
    return cudaSuccess;
  });
}

cudaError_t cudaGetDeviceCount(int* count) {
  return call("cudaGetDeviceCount", kPlain, [&](Runtime& runtime) {
    *count = runtime.description.count;
    return runtime.description.count_status;
  });
}

cudaError_t cudaGetDevice(int* device) {
  return call("cudaGetDevice", kPlain, [&](Runtime&) {
    *device = current_device();
    return cudaSuccess;
  });
}

cudaError_t cudaSetDevice(int device) {
  return call("cudaSetDevice", kPlain, [&](Runtime& runtime) {
    if (device < 0 || device >= runtime.description.count) return cudaErrorInvalidDevice;
    current_device() = device;
    return cudaSuccess;
  });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return call("cudaGetDeviceProperties", kPlain, [&](Runtime& runtime) {
    const Description& is = runtime.description;
    if (device < 0 || device >= is.count) return cudaErrorInvalidDevice;
    *properties = {};
    std::snprintf(properties->name, sizeof properties->name, "Fake GPU %d", device);
    properties->totalGlobalMem = is.memory_bytes;
    properties->sharedMemPerBlockOptin = is.shared_bytes_per_block;
    properties->major = is.arch / 10;
    properties->minor = is.arch % 10;
    properties->multiProcessorCount = is.multiprocessors;
    return cudaSuccess;
  });
}
