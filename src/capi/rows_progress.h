// The callback of calls on rows in memory.
#pragma once

#include <cstdint>

#include "base/seconds.h"
#include "capi/environment.h"
#include "diabolo/diabolo.h"

namespace diabolo::capi {

class RowsProgress {
 public:
  RowsProgress(diabolo_file_callback callback, void* user) : callback_(callback), user_(user) {}

  explicit operator bool() const { return callback_ != nullptr; }

  // In the caller's environment; false where it asked to stop. total: 0 if it is not known. Where
  // the rows are fewer than before, they are gone through once more, and the rate is of this time.
  bool operator()(uint64_t rows, uint64_t total) {
    if (rows < rows_) {
      start_ = Clock::now();
      first_ = rows;
    }
    rows_ = rows;
    const double seconds = seconds_since(start_);
    const auto done = static_cast<double>(rows - first_);
    const double rate = seconds > 0 ? done / seconds : 0;
    const diabolo_file_progress progress = {sizeof progress, rows, total, rate};
    const CallerEnvironment environment;
    return callback_(&progress, user_) == 0;
  }

 private:
  diabolo_file_callback callback_;
  void* user_;
  Clock::time_point start_ = Clock::now();
  uint64_t first_ = 0, rows_ = 0;  // when start_ was taken, and at the last call
};

}  // namespace diabolo::capi
