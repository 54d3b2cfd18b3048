#include "backend/host/host_ledger.h"

#include <immintrin.h>
#include <sched.h>

#include <chrono>

#include "base/error.h"
#include "base/seconds.h"

namespace diabolo {

namespace {

// A futex wake-up costs 5 to 50 us; spinning for about as long costs at most twice the optimum.
constexpr std::chrono::microseconds kSpin{30};
constexpr int kPausesPerLook = 16;

// True if `count` got there meanwhile.
bool spin_until(const std::atomic<uint64_t>& count, uint64_t at_least,
                const std::atomic<int>& other_cpu) {
  if (count.load(std::memory_order_acquire) >= at_least) return true;
  const auto end = Clock::now() + kSpin;
  do {
    if (other_cpu.load(std::memory_order_relaxed) == sched_getcpu()) return false;
    for (int pause = 0; pause < kPausesPerLook; ++pause) _mm_pause();
    if (count.load(std::memory_order_acquire) >= at_least) return true;
  } while (Clock::now() < end);
  return false;
}

}  // namespace

void HostLedger::add_submitted() {
  caller_cpu_.store(sched_getcpu(), std::memory_order_relaxed);
  submitted_.fetch_add(1, std::memory_order_seq_cst);
}

void HostLedger::spin_until_submitted(uint64_t number) const {
  spin_until(submitted_, number, caller_cpu_);
}

void HostLedger::begin() {
  worker_cpu_.store(sched_getcpu(), std::memory_order_relaxed);
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
  // A waiter that has looked already sleeps by now; woken, it finds the lock free.
  mutex_.lock();
  mutex_.unlock();
  changed_.notify_all();
}

void HostLedger::wait_until_done(uint64_t number) {
  caller_cpu_.store(sched_getcpu(), std::memory_order_relaxed);
  if (spin_until(done_, number, worker_cpu_)) return;
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
