#include "backend/host/host_ledger.h"

#include <immintrin.h>

#include <chrono>

#include "base/error.h"

namespace diabolo {

namespace {

// A futex wake-up costs 5 to 50 us; spinning for about as long costs at most twice the optimum.
constexpr std::chrono::microseconds kSpin{30};
constexpr int kPausesPerLook = 16;

}  // namespace

bool spin_until(const std::atomic<uint64_t>& count, uint64_t at_least) {
  if (count.load(std::memory_order_acquire) >= at_least) return true;
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int pause = 0; pause < kPausesPerLook; ++pause) _mm_pause();
    if (count.load(std::memory_order_acquire) >= at_least) return true;
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

bool HostLedger::drops(uint64_t number) const {
  const std::lock_guard lock(mutex_);
  return failure_ || number <= drops_up_to_;
}

void HostLedger::keep_failure(std::exception_ptr failure) {
  const std::lock_guard lock(mutex_);
  if (!failure_) failure_ = std::move(failure);
}

void HostLedger::finish(uint64_t number) {
  // Either this sees the waiter, or the waiter, which counts itself first, sees the number.
  done_.store(number, std::memory_order_seq_cst);
  if (waiters_.load(std::memory_order_seq_cst) == 0) return;
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
}

void HostLedger::wait_until_done(uint64_t number) {
  if (spin_until(done_, number)) return;
  std::unique_lock lock(mutex_);
  waiters_.fetch_add(1, std::memory_order_seq_cst);
  changed_.wait(lock, [&] { return done_.load(std::memory_order_seq_cst) >= number; });
  waiters_.fetch_sub(1, std::memory_order_seq_cst);
}

std::exception_ptr HostLedger::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void HostLedger::forget(const std::exception_ptr& failure) {
  const std::lock_guard lock(mutex_);
  if (!failure || failure_ != failure) return;
  failure_ = nullptr;
  drops_up_to_ = submitted();
}

void HostEvent::wait() {
  point_->wait_until_done();
  if (!point_->failure) return;
  point_->ledger->forget(point_->failure);
  std::rethrow_exception(point_->failure);
}

const std::shared_ptr<const HostPoint>& host_point(const Event& event) {
  const auto* host_event = dynamic_cast<const HostEvent*>(&event);
  DIABOLO_CHECK(host_event != nullptr, "an event of another backend");
  return host_event->point();
}

}  // namespace diabolo
