// What a stream has been given, what it has done, and what failed: shared by the stream and by the
// events recorded on it, which may outlive it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>

#include "backend/backend.h"

namespace diabolo {

// Work has numbers 1, 2, 3 … in the order of submission.
class HostLedger {
 public:
  uint64_t submitted() const { return submitted_.load(std::memory_order_acquire); }
  void add_submitted();

  // Both sides spin before they sleep, for as long as a sleep and a wake-up would cost, but not on
  // the core on which the other was last seen: it needs that core.

  // The worker's side. A failure that nobody has heard of stays; later ones are its consequences.
  void spin_until_submitted(uint64_t number) const;
  void begin();  // it has something to do
  bool drops(uint64_t number) const;
  void keep_failure(std::exception_ptr failure);
  void finish(uint64_t number);

  // The other side.
  bool is_done(uint64_t number) const { return done_.load(std::memory_order_acquire) >= number; }
  void wait_until_done(uint64_t number);
  std::exception_ptr failure() const;
  // The failure, if there is one, has been heard of: work submitted from now on runs again.
  void forget(const std::exception_ptr& failure);

 private:
  std::atomic<uint64_t> submitted_{0};
  std::atomic<uint64_t> done_{0};
  std::atomic<int> waiters_{0};
  std::atomic<int> caller_cpu_{-1}, worker_cpu_{-1};  // where they were last seen
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::exception_ptr failure_;
  uint64_t drops_up_to_ = 0;  // work with these numbers was submitted before the failure was heard
};

// A point in a stream's work. `failure` is what was wrong with the work before it; it is written
// before the point is done and stays: that work was not done, whoever asks.
struct HostPoint {
  std::shared_ptr<HostLedger> ledger;
  uint64_t number = 0;
  std::exception_ptr failure;

  void wait_until_done() const { ledger->wait_until_done(number); }
};

class HostEvent : public Event {
 public:
  explicit HostEvent(std::shared_ptr<const HostPoint> point) : point_(std::move(point)) {}

  void wait() override;
  bool is_done() const override { return point_->ledger->is_done(point_->number); }
  const std::shared_ptr<const HostPoint>& point() const { return point_; }

 private:
  std::shared_ptr<const HostPoint> point_;
};

// The point of an event of this backend; InternalError for one of another.
const std::shared_ptr<const HostPoint>& host_point(const Event& event);

}  // namespace diabolo
