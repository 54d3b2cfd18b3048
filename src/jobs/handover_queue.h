// A queue between two threads that holds what goes round in a pipeline; closing it ends both sides.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace diabolo {

// Bounded by its users: what circulates is made once and handed from queue to queue.
template <class T>
class HandoverQueue {
 public:
  void push(T item) {
    {
      const std::lock_guard lock(mutex_);
      items_.push_back(std::move(item));
    }
    changed_.notify_one();
  }

  // Waits; nothing once the queue is closed and empty, or at once when it was aborted.
  std::optional<T> pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !items_.empty() || is_closed_; });
    if (is_aborted_ || items_.empty()) return std::nullopt;
    T item = std::move(items_.front());
    items_.pop_front();
    return item;
  }

  // Nothing more will be pushed; what is in it can still be taken.
  void close() { end(false); }
  // Whoever waits goes home, whatever is left.
  void abort() { end(true); }

 private:
  void end(bool is_abort) {
    {
      const std::lock_guard lock(mutex_);
      is_closed_ = true;
      is_aborted_ = is_aborted_ || is_abort;
    }
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> items_;
  bool is_closed_ = false, is_aborted_ = false;
};

}  // namespace diabolo
