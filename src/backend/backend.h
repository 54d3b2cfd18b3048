// Where memory lives and work runs: the host, or one CUDA device. A dozen functions, none of them
// about an op: kernels launch themselves on the native handle of a stream.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/device_info.h"

namespace diabolo {

// A point in a stream's work that others can wait for.
class Event {
 public:
  virtual ~Event() = default;
  virtual void wait() = 0;           // blocks the caller; rethrows what the work before it threw
  virtual bool is_done() const = 0;  // never blocks
};

// Work in order. Calls return before the work is done unless they say otherwise. What work throws
// is rethrown by the next synchronize() (or Event::wait); what was submitted after it is dropped
// until then. One thread at a time may use a stream.
class Stream {
 public:
  virtual ~Stream() = default;

  // Runs `launches(native handle)` in order with everything else here. On the host it runs on the
  // stream's own thread; on CUDA at once, on the caller's, since launches are asynchronous there.
  virtual void submit(std::function<void(void* native)> launches) = 0;

  // Copies; all pointers must stay valid until the copy is done. Host memory from
  // Backend::allocate_staging is copied without a detour.
  virtual void copy_in(void* device, const void* host, uint64_t bytes) = 0;
  virtual void copy_out(void* host, const void* device, uint64_t bytes) = 0;
  virtual void copy_within(void* to, const void* from, uint64_t bytes) = 0;
  virtual void fill(void* device, uint8_t value, uint64_t bytes) = 0;

  virtual std::unique_ptr<Event> record_event() = 0;
  virtual void wait_for(const Event& event) = 0;  // later work here starts after it
  virtual void synchronize() = 0;                 // blocks until all is done
};

// A recorded sequence of launches, as one thing to start.
class Replay {
 public:
  virtual ~Replay() = default;
  virtual void launch(Stream& stream) = 0;
};

enum class StreamKind {
  kOwnThread,     // host: a thread, a team and flushed denormals of its own
  kCallerThread,  // host: work runs inside the call, on one thread; floating-point mode restored
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual const DeviceInfo& info() const = 0;

  // 256-byte aligned. Throws Error{kResource}, naming wanted and free bytes. 0 bytes: null.
  virtual void* allocate(uint64_t bytes) = 0;
  virtual void release(void* data) noexcept = 0;
  virtual uint64_t free_bytes() const = 0;

  // Host memory that copies to and from this backend fastest (pinned, for CUDA).
  virtual void* allocate_staging(uint64_t bytes) = 0;
  virtual void release_staging(void* data) noexcept = 0;

  virtual std::unique_ptr<Stream> create_stream(StreamKind kind = StreamKind::kOwnThread) = 0;

  // A stream of the caller's, as the device's own interface hands it out (CUDA: a cudaStream_t,
  // null the default one); it must outlive what is returned, which never waits for it. Its calls
  // throw what goes wrong at once, since nobody will synchronize it; record_event() throws
  // Error{kUsage} for a stream of another device. Throws Error{kUsage} for one that is being
  // captured, Error{kDevice} on the host, which has none.
  virtual std::unique_ptr<Stream> borrow_stream(void* native) = 0;

  // Throws Error{kUsage}, naming `what`, unless work on this device may use these bytes.
  virtual void require_device_memory(const char* what, const void* data, uint64_t bytes) = 0;

  // Records what `launches` would do on `stream`, without doing it. Throws Error{kDevice} if it
  // cannot be recorded; the stream is usable afterwards either way.
  virtual std::unique_ptr<Replay> record(Stream& stream,
                                         std::function<void(void* native)> launches) = 0;
};

// Memory of a backend. Moves; frees itself. The backend must outlive it.
template <void* (Backend::*kAllocate)(uint64_t), void (Backend::*kRelease)(void*) noexcept>
class OwnedMemory {
 public:
  OwnedMemory() = default;
  OwnedMemory(Backend& backend, uint64_t bytes)
      : backend_(&backend), data_((backend.*kAllocate)(bytes)), bytes_(bytes) {}
  OwnedMemory(OwnedMemory&& other) noexcept { swap(other); }
  OwnedMemory& operator=(OwnedMemory&& other) noexcept {
    OwnedMemory(std::move(other)).swap(*this);
    return *this;
  }
  ~OwnedMemory() {
    if (data_) (backend_->*kRelease)(data_);
  }

  void* data() const { return data_; }
  uint64_t bytes() const { return bytes_; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void swap(OwnedMemory& other) noexcept {
    std::swap(backend_, other.backend_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }

  Backend* backend_ = nullptr;
  void* data_ = nullptr;
  uint64_t bytes_ = 0;
};

using Buffer = OwnedMemory<&Backend::allocate, &Backend::release>;
using StagingBuffer = OwnedMemory<&Backend::allocate_staging, &Backend::release_staging>;

// The host, with threads as choose_threads (host/host_threads.h) says: never more than the process
// may run on. 0: all of those.
std::unique_ptr<Backend> create_host_backend(int threads = 0);

// CUDA device `index`. Throws Error{kDevice}: no driver, an old one, no such device, or a build
// without CUDA.
std::unique_ptr<Backend> create_cuda_backend(int index = 0);

// The CUDA devices of this machine, or why there are none (also: "built without CUDA").
struct CudaDevices {
  std::vector<DeviceInfo> devices;
  std::string why_none;
};
CudaDevices list_cuda_devices();

}  // namespace diabolo
