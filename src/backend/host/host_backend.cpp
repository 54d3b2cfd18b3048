// The host as a Backend: memory that is really there, streams on threads of their own, recordings.
#include <cstdlib>
#include <new>

#include "backend/backend.h"
#include "backend/host/host_memory.h"
#include "backend/host/host_stream.h"
#include "backend/host/host_threads.h"
#include "base/checked.h"
#include "base/error.h"

namespace diabolo {

namespace {

constexpr uint64_t kAlignment = 256;
constexpr uint64_t kPageBytes = 4096;
// From here on allocations are checked against what is left, and touched, so that the check of the
// next one sees them: memory that is only promised is not counted by the kernel, and whoever
// touches too much of it is killed. Smaller ones do not pay for reading /proc.
constexpr uint64_t kLargeBytes = uint64_t{1} << 20;

std::string describe_bytes(uint64_t bytes) {
  return cat(bytes, " bytes (", bytes >> 20, " MiB)");
}

class HostReplay : public Replay {
 public:
  explicit HostReplay(HostWork work) : work_(std::make_shared<const HostWork>(std::move(work))) {}

  void launch(Stream& stream) override {
    auto* host_stream = dynamic_cast<HostStream*>(&stream);
    DIABOLO_CHECK(host_stream != nullptr, "a stream of another backend");
    host_stream->submit_shared(work_);
  }

 private:
  SharedHostWork work_;
};

class HostBackend : public Backend {
 public:
  HostBackend(std::vector<int> cpus, int threads) : cpus_(std::move(cpus)) {
    info_ = *device_from_name("cpu");
    info_.cpu = kernels::cpu::detect_features(threads);
  }

  const DeviceInfo& info() const override { return info_; }

  void* allocate(uint64_t bytes) override {
    if (bytes == 0) return nullptr;
    const auto rounded = checked_align_up<uint64_t>(bytes, kAlignment);
    void* data = nullptr;
    if (rounded && (*rounded < kLargeBytes || *rounded <= host_available_bytes())) {
      data = std::aligned_alloc(kAlignment, *rounded);
    }
    if (data == nullptr) {
      throw Error(ErrorCode::kResource, cat("host memory: wanted ", describe_bytes(bytes),
                                            ", free ", describe_bytes(host_available_bytes()),
                                            "; use a smaller batch or model, or free some memory"));
    }
    if (*rounded >= kLargeBytes) touch(static_cast<volatile unsigned char*>(data), *rounded);
    return data;
  }

  void release(void* data) noexcept override { std::free(data); }
  uint64_t free_bytes() const override { return host_available_bytes(); }

  void* allocate_staging(uint64_t bytes) override { return allocate(bytes); }
  void release_staging(void* data) noexcept override { release(data); }

  std::unique_ptr<Stream> create_stream(StreamKind kind) override {
    if (kind == StreamKind::kCallerThread) return create_caller_stream();
    return create_worker_stream(cpus_, info_.cpu.threads);
  }

  std::unique_ptr<Stream> borrow_stream(void*) override {
    throw Error(
        ErrorCode::kDevice,
        cat("stream: the model is on ", info_.name,
            ", which has no streams; load it on a CUDA device, or use the calls for rows in "
            "host memory"));
  }

  // All memory of the process is the host's.
  void require_device_memory(const char*, const void*, uint64_t) override {}

  std::unique_ptr<Replay> record(Stream& stream, HostWork launches) override {
    DIABOLO_CHECK(dynamic_cast<HostStream*>(&stream) != nullptr, "a stream of another backend");
    return std::make_unique<HostReplay>(std::move(launches));
  }

 private:
  static void touch(volatile unsigned char* data, uint64_t bytes) {
    for (uint64_t at = 0; at < bytes; at += kPageBytes) data[at] = 0;
  }

  std::vector<int> cpus_;
  DeviceInfo info_;
};

}  // namespace

std::unique_ptr<Backend> create_host_backend(int threads) {
  return std::make_unique<HostBackend>(allowed_cpus(), choose_threads(threads).threads);
}

}  // namespace diabolo
