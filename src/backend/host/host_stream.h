// Streams of the host backend: a thread with a queue, or the caller's own thread.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "backend/backend.h"

namespace diabolo {

using HostWork = std::function<void(void* native)>;

// Work that may be submitted many times without being copied.
using SharedHostWork = std::shared_ptr<const HostWork>;

class HostStream : public Stream {
 public:
  virtual void submit_shared(const SharedHostWork& work) = 0;

  void copy_in(void* device, const void* host, uint64_t bytes) override;
  void copy_out(void* host, const void* device, uint64_t bytes) override;
  void copy_within(void* to, const void* from, uint64_t bytes) override;
  void fill(void* device, uint8_t value, uint64_t bytes) override;
};

// A thread of its own in a team of `threads`, on as many of `cpus`. Throws Error{kResource} where a
// thread cannot be started.
std::unique_ptr<HostStream> create_worker_stream(const std::vector<int>& cpus, int threads);

// Work runs inside the call that submits it, on one thread.
std::unique_ptr<HostStream> create_caller_stream();

}  // namespace diabolo
