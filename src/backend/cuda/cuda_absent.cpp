// What a build without CUDA answers.
#include "backend/backend.h"
#include "base/error.h"

namespace diabolo {

namespace {

constexpr const char* kWhyNone = "this build has no CUDA (configure with -DDIABOLO_CUDA=ON)";

}  // namespace

std::unique_ptr<Backend> create_cuda_backend(int) {
  throw Error(ErrorCode::kDevice, kWhyNone);
}

CudaDevices list_cuda_devices() {
  return {{}, kWhyNone};
}

}  // namespace diabolo
