// What the caller of a long call in memory hears of it, and how it stops it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>

#include "base/seconds.h"

namespace diabolo {

// Called in the thread that made the call, before the first rows and then some 10 ms apart, with
// the rows that are done; false ends the call. What it throws comes out of the call.
using CallProgress = std::function<bool(uint64_t rows)>;

// One call. The threads that share it use it at once.
class CallWatch {
 public:
  // Borrows progress, which may be empty. The thread that makes it is the caller's.
  explicit CallWatch(const CallProgress& progress) : progress_(progress) {}

  void add_rows(uint64_t count) { rows_.fetch_add(count, std::memory_order_relaxed); }
  // Asks, if it is time and this is the caller's thread; true once the call is to end.
  bool is_stopped();
  // Throws Error{kInterrupted} if it was stopped.
  void finish() const;

 private:
  const CallProgress& progress_;
  const std::thread::id caller_ = std::this_thread::get_id();
  Clock::time_point next_ = {};  // of the caller's thread
  std::atomic<uint64_t> rows_{0};
  std::atomic<bool> is_stopped_{false};
};

}  // namespace diabolo
