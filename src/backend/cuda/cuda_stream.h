// A CUDA stream, its events, and the failures of what was submitted to it.
#pragma once

#include <cuda_runtime_api.h>

#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "backend/backend.h"

namespace diabolo::cuda {

// What a stream's work threw while it was being launched, until somebody hears of it. Shared by the
// stream and its events.
class KeptFailure {
 public:
  std::exception_ptr get() const;
  void keep(std::exception_ptr failure);  // the first one stays; later ones are its consequences
  void forget(const std::exception_ptr& failure);

 private:
  mutable std::mutex mutex_;
  std::exception_ptr failure_;
};

// Events of one device for reuse: creating one costs more than recording it.
class EventPool {
 public:
  explicit EventPool(int device) : device_(device) {}
  ~EventPool();
  EventPool(const EventPool&) = delete;
  EventPool& operator=(const EventPool&) = delete;

  int device() const { return device_; }
  cudaEvent_t take();
  void give_back(cudaEvent_t event) noexcept;

 private:
  const int device_;
  std::mutex mutex_;
  std::vector<cudaEvent_t> free_;
};

class CudaEvent : public Event {
 public:
  // `failure`: what was wrong with the work before it, if anything.
  CudaEvent(std::shared_ptr<EventPool> pool, std::shared_ptr<KeptFailure> kept);
  ~CudaEvent() override;

  cudaError_t record_on(cudaStream_t stream);
  void wait() override;
  bool is_done() const override;
  cudaEvent_t handle() const { return event_; }
  const std::exception_ptr& failure() const { return failure_; }

 private:
  std::shared_ptr<EventPool> pool_;
  std::shared_ptr<KeptFailure> kept_;
  std::exception_ptr failure_;
  cudaEvent_t event_ = nullptr;
};

class CudaStream : public Stream {
 public:
  explicit CudaStream(std::shared_ptr<EventPool> pool);
  // Borrowed (Backend::borrow_stream).
  CudaStream(std::shared_ptr<EventPool> pool, cudaStream_t stream);
  ~CudaStream() override;

  void submit(std::function<void(void* native)> launches) override;
  void copy_in(void* device, const void* host, uint64_t bytes) override;
  void copy_out(void* host, const void* device, uint64_t bytes) override;
  void copy_within(void* to, const void* from, uint64_t bytes) override;
  void fill(void* device, uint8_t value, uint64_t bytes) override;
  std::unique_ptr<Event> record_event() override;
  void wait_for(const Event& event) override;
  void synchronize() override;

  int device() const { return pool_->device(); }
  cudaStream_t handle() const { return stream_; }

  // Starts a recorded graph, in order with everything else here.
  void launch(cudaGraphExec_t graph);

 private:
  // Runs `call` unless earlier work failed; keeps what it throws, or if borrowed throws it.
  template <class Call>
  void attempt(Call&& call);
  void copy(void* to, const void* from, uint64_t bytes, cudaMemcpyKind kind);

  void keep_or_throw(const std::exception_ptr& failure);

  std::shared_ptr<EventPool> pool_;
  std::shared_ptr<KeptFailure> kept_ = std::make_shared<KeptFailure>();
  cudaStream_t stream_ = nullptr;
  bool is_borrowed_ = false;
};

// The stream as one of ours; InternalError for one of another backend.
CudaStream& cuda_stream(Stream& stream);

}  // namespace diabolo::cuda
