// The callback of calls on rows in memory.
#pragma once

#include <chrono>
#include <cstdint>

#include "capi/environment.h"
#include "diabolo/diabolo.h"

namespace diabolo::capi {

class RowsProgress {
 public:
  RowsProgress(diabolo_file_callback callback, void* user) : callback_(callback), user_(user) {}

  explicit operator bool() const { return callback_ != nullptr; }

  // In the caller's environment; false where it asked to stop. total: 0 if it is not known.
  bool operator()(uint64_t rows, uint64_t total) const {
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start_;
    const double rate = seconds.count() > 0 ? static_cast<double>(rows) / seconds.count() : 0;
    const diabolo_file_progress progress = {sizeof progress, rows, total, rate};
    const CallerEnvironment environment;
    return callback_(&progress, user_) == 0;
  }

 private:
  diabolo_file_callback callback_;
  void* user_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace diabolo::capi
