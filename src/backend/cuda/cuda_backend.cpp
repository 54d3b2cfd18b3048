// One CUDA device as a Backend: memory, staging, streams, recordings.
#include <memory>

#include "backend/backend.h"
#include "backend/cuda/capture.h"
#include "backend/cuda/cuda_check.h"
#include "backend/cuda/cuda_devices.h"
#include "backend/cuda/cuda_stream.h"
#include "backend/host/host_memory.h"
#include "base/error.h"

namespace diabolo {

namespace cuda {

namespace {

class CudaBackend : public Backend {
 public:
  explicit CudaBackend(DeviceInfo info)
      : info_(std::move(info)), events_(std::make_shared<EventPool>(info_.index)) {}

  const DeviceInfo& info() const override { return info_; }

  void* allocate(uint64_t bytes) override {
    if (bytes == 0) return nullptr;
    const DeviceGuard guard(info_.index);
    void* data = nullptr;
    const cudaError_t status = cudaMalloc(&data, bytes);
    if (status == cudaErrorMemoryAllocation) fail_memory(info_.name, bytes, free_bytes());
    check(status, "cudaMalloc");
    return data;
  }

  void release(void* data) noexcept override {
    if (cudaFree(data) != cudaSuccess) (void)cudaGetLastError();
  }

  uint64_t free_bytes() const override {
    const DeviceGuard guard(info_.index);
    size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
    return free;
  }

  void* allocate_staging(uint64_t bytes) override {
    if (bytes == 0) return nullptr;
    const DeviceGuard guard(info_.index);
    // Pinned memory cannot be swapped out: the driver would take what others need to live.
    if (bytes > host_available_bytes()) fail_staging(bytes);
    void* data = nullptr;
    const cudaError_t status = cudaHostAlloc(&data, bytes, cudaHostAllocPortable);
    if (status == cudaErrorMemoryAllocation) fail_staging(bytes);
    check(status, "cudaHostAlloc");
    return data;
  }

  void release_staging(void* data) noexcept override {
    if (cudaFreeHost(data) != cudaSuccess) (void)cudaGetLastError();
  }

  std::unique_ptr<Stream> create_stream(StreamKind) override {
    return std::make_unique<CudaStream>(events_);
  }

  std::unique_ptr<Stream> borrow_stream(void* native) override {
    return std::make_unique<CudaStream>(events_, static_cast<cudaStream_t>(native));
  }

  void require_device_memory(const char* what, const void* data, uint64_t bytes) override {
    if (bytes == 0) return;
    const DeviceGuard guard(info_.index);
    require_here(what, data);
    require_here(what, static_cast<const char*>(data) + (bytes - 1));  // an end too near
  }

  std::unique_ptr<Replay> record(Stream& stream,
                                 std::function<void(void* native)> launches) override {
    CudaStream& own = cuda_stream(stream);
    DIABOLO_CHECK(own.device() == info_.index, "a stream of device ", own.device());
    return capture(own, launches);
  }

 private:
  // Memory of this device, or managed, which every device may use.
  void require_here(const char* what, const void* address) const {
    cudaPointerAttributes is{};
    check(cudaPointerGetAttributes(&is, address), "cudaPointerGetAttributes");
    if (is.type == cudaMemoryTypeManaged) return;
    if (is.type == cudaMemoryTypeDevice && is.device == info_.index) return;
    const std::string found =
        is.type == cudaMemoryTypeDevice
            ? cat("memory of CUDA device ", is.device)
            : std::string("memory of the host, or memory that ends too early");
    throw Error(ErrorCode::kUsage, cat(what, ": expected memory of CUDA device ", info_.index, " (",
                                       info_.name, "), found ", found));
  }

  [[noreturn]] static void fail_memory(const std::string& name, uint64_t wanted, uint64_t free) {
    (void)cudaGetLastError();
    throw Error(
        ErrorCode::kResource,
        cat("memory of ", name, ": wanted ", wanted, " bytes (", wanted >> 20, " MiB), free ", free,
            " bytes (", free >> 20, " MiB); use a smaller batch or model, or another device"));
  }

  [[noreturn]] static void fail_staging(uint64_t wanted) {
    (void)cudaGetLastError();
    const uint64_t free = host_available_bytes();
    throw Error(
        ErrorCode::kResource,
        cat("pinned host memory: wanted ", wanted, " bytes (", wanted >> 20, " MiB), free ", free,
            " bytes (", free >> 20, " MiB); use a smaller batch, or free some memory"));
  }

  const DeviceInfo info_;
  const std::shared_ptr<EventPool> events_;
};

}  // namespace

}  // namespace cuda

std::unique_ptr<Backend> create_cuda_backend(int index) {
  int count = 0;
  const std::string why_none = cuda::why_no_devices(&count);
  if (!why_none.empty()) throw Error(ErrorCode::kDevice, why_none);
  if (index < 0 || index >= count) {
    throw Error(ErrorCode::kDevice, cat("CUDA device ", index, " does not exist; expected 0 to ",
                                        count - 1, " (see `diabolo devices`)"));
  }
  cuda::Candidate candidate = cuda::examine_device(index);
  if (!candidate.refusal.empty()) throw Error(ErrorCode::kDevice, candidate.refusal);
  return std::make_unique<cuda::CudaBackend>(std::move(candidate.info));
}

}  // namespace diabolo
