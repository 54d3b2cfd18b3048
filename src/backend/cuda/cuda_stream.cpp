#include "backend/cuda/cuda_stream.h"

#include "backend/cuda/cuda_check.h"
#include "base/error.h"

namespace diabolo::cuda {

std::exception_ptr KeptFailure::get() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void KeptFailure::keep(std::exception_ptr failure) {
  const std::lock_guard lock(mutex_);
  if (!failure_) failure_ = std::move(failure);
}

void KeptFailure::forget(const std::exception_ptr& failure) {
  const std::lock_guard lock(mutex_);
  if (failure_ == failure) failure_ = nullptr;
}

EventPool::~EventPool() {
  for (cudaEvent_t event : free_) (void)cudaEventDestroy(event);
}

cudaEvent_t EventPool::take() {
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      const cudaEvent_t event = free_.back();
      free_.pop_back();
      return event;
    }
  }
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
  return event;
}

void EventPool::give_back(cudaEvent_t event) noexcept {
  const std::lock_guard lock(mutex_);
  try {
    free_.push_back(event);
  } catch (const std::bad_alloc&) {
    (void)cudaEventDestroy(event);
  }
}

CudaEvent::CudaEvent(std::shared_ptr<EventPool> pool, std::shared_ptr<KeptFailure> kept)
    : pool_(std::move(pool)), kept_(std::move(kept)), failure_(kept_->get()) {
  event_ = pool_->take();
}

CudaEvent::~CudaEvent() {
  pool_->give_back(event_);
}

cudaError_t CudaEvent::record_on(cudaStream_t stream) {
  return cudaEventRecord(event_, stream);
}

void CudaEvent::wait() {
  const DeviceGuard guard(pool_->device());
  check(cudaEventSynchronize(event_), "cudaEventSynchronize");
  if (!failure_) return;
  kept_->forget(failure_);
  std::rethrow_exception(failure_);
}

bool CudaEvent::is_done() const {
  const DeviceGuard guard(pool_->device());
  const cudaError_t status = cudaEventQuery(event_);
  if (status == cudaErrorNotReady) return false;
  check(status, "cudaEventQuery");
  return true;
}

CudaStream::CudaStream(std::shared_ptr<EventPool> pool) : pool_(std::move(pool)) {
  const DeviceGuard guard(device());
  // Non-blocking: what others do on the default stream is none of our business.
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
}

CudaStream::CudaStream(std::shared_ptr<EventPool> pool, cudaStream_t stream)
    : pool_(std::move(pool)), stream_(stream), is_borrowed_(true) {
  const DeviceGuard guard(device());
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  const cudaError_t asked = cudaStreamIsCapturing(stream_, &status);
  // The default stream while a stream is captured that waits for it.
  const bool is_implied = asked == cudaErrorStreamCaptureImplicit;
  if (is_implied) (void)cudaGetLastError();
  if (!is_implied) check(asked, "cudaStreamIsCapturing");
  if (is_implied || status != cudaStreamCaptureStatusNone)
    throw Error(ErrorCode::kUsage,
                "stream: it is being captured; this call cannot become part of a CUDA graph (call "
                "before the capture or after it)");
}

CudaStream::~CudaStream() {
  if (is_borrowed_) return;
  // What was submitted is finished, as on the host: it may use memory that goes next.
  (void)cudaStreamSynchronize(stream_);
  (void)cudaStreamDestroy(stream_);
  (void)cudaGetLastError();
}

void CudaStream::keep_or_throw(const std::exception_ptr& failure) {
  if (is_borrowed_) std::rethrow_exception(failure);
  kept_->keep(failure);
}

template <class Call>
void CudaStream::attempt(Call&& call) {
  if (kept_->get()) return;
  try {
    const DeviceGuard guard(device());
    call();
  } catch (...) {
    keep_or_throw(current_failure());
  }
}

void CudaStream::submit(std::function<void(void* native)> launches) {
  attempt([&] { launches(stream_); });
}

void CudaStream::copy(void* to, const void* from, uint64_t bytes, cudaMemcpyKind kind) {
  if (bytes == 0) return;
  attempt([&] { check(cudaMemcpyAsync(to, from, bytes, kind, stream_), "cudaMemcpyAsync"); });
}

void CudaStream::copy_in(void* device, const void* host, uint64_t bytes) {
  copy(device, host, bytes, cudaMemcpyHostToDevice);
}

void CudaStream::copy_out(void* host, const void* device, uint64_t bytes) {
  copy(host, device, bytes, cudaMemcpyDeviceToHost);
}

void CudaStream::copy_within(void* to, const void* from, uint64_t bytes) {
  copy(to, from, bytes, cudaMemcpyDeviceToDevice);
}

void CudaStream::fill(void* device, uint8_t value, uint64_t bytes) {
  if (bytes == 0) return;
  attempt([&] { check(cudaMemsetAsync(device, value, bytes, stream_), "cudaMemsetAsync"); });
}

void CudaStream::launch(cudaGraphExec_t graph) {
  attempt([&] { check(cudaGraphLaunch(graph, stream_), "cudaGraphLaunch"); });
}

std::unique_ptr<Event> CudaStream::record_event() {
  const DeviceGuard guard(device());
  auto event = std::make_unique<CudaEvent>(pool_, kept_);
  const cudaError_t status = event->record_on(stream_);
  if (is_borrowed_ && status == cudaErrorInvalidResourceHandle) {
    (void)cudaGetLastError();
    throw Error(ErrorCode::kUsage, cat("stream: expected a stream of CUDA device ", device(),
                                       " that has not been destroyed"));
  }
  check(status, "cudaEventRecord");
  return event;
}

void CudaStream::wait_for(const Event& event) {
  const auto* cuda_event = dynamic_cast<const CudaEvent*>(&event);
  DIABOLO_CHECK(cuda_event != nullptr, "an event of another backend");
  const DeviceGuard guard(device());
  check(cudaStreamWaitEvent(stream_, cuda_event->handle(), 0), "cudaStreamWaitEvent");
  if (cuda_event->failure()) keep_or_throw(cuda_event->failure());
}

void CudaStream::synchronize() {
  const DeviceGuard guard(device());
  check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
  const std::exception_ptr failure = kept_->get();
  if (!failure) return;
  kept_->forget(failure);
  std::rethrow_exception(failure);
}

CudaStream& cuda_stream(Stream& stream) {
  auto* found = dynamic_cast<CudaStream*>(&stream);
  DIABOLO_CHECK(found != nullptr, "a stream of another backend");
  return *found;
}

}  // namespace diabolo::cuda
