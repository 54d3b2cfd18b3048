#include "infer/call_watch.h"

#include "base/error.h"

namespace diabolo {

namespace {

constexpr std::chrono::milliseconds kBetween{10};

}  // namespace

bool CallWatch::is_stopped() {
  if (!progress_) return false;
  if (is_stopped_.load(std::memory_order_relaxed)) return true;
  if (std::this_thread::get_id() != caller_) return false;
  const Clock::time_point now = Clock::now();
  if (now < next_) return false;
  next_ = now + kBetween;
  if (!progress_(rows_.load(std::memory_order_relaxed))) is_stopped_ = true;
  return is_stopped_;
}

void CallWatch::finish() const {
  if (is_stopped_)
    throw Error(ErrorCode::kInterrupted,
                cat("rows: stopped by the callback after ", rows_.load(), " of them"));
}

}  // namespace diabolo
