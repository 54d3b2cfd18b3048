// When a training writes one of its files again: after so many seconds, or later where writing it
// takes so long that it would cost more than its share of the time.
#pragma once

#include <algorithm>

#include "base/seconds.h"

namespace diabolo {

class SavePace {
 public:
  // A training writes two files, its checkpoint and its model: together at most a twentieth.
  static constexpr double kSecondsPerSecondOfWriting = 40;

  // seconds: 0 writes whenever there is something new, whatever that costs.
  explicit SavePace(double seconds) : seconds_(seconds) {}

  // Between the ends of two writings.
  double interval_s() const {
    return seconds_ == 0 ? 0 : std::max(seconds_, kSecondsPerSecondOfWriting * cost_s_);
  }
  bool is_due() const { return seconds_since(last_) >= interval_s(); }

  // Writes, and keeps in mind how long that took. `share` of the bytes of the times to come.
  template <class Write>
  void write(const Write& write_file, double share = 1) {
    const Clock::time_point start = Clock::now();
    write_file();
    cost_s_ = seconds_since(start) / share;
    last_ = Clock::now();
  }

 private:
  double seconds_;
  double cost_s_ = 0;
  Clock::time_point last_ = Clock::now();
};

}  // namespace diabolo
