// The kernels of a plan timed alone: one by one, in order, on the plan's own buffers.
#pragma once

#include <vector>

#include "graph/executor.h"

namespace diabolo::bench {

double median(std::vector<double> values);

class KernelTimes {
 public:
  // Launches every kernel once and waits for it. For the host: a launch returns when it is done.
  void time_once(const Executor& executor, Stream& stream);

  void forget() { seconds_.clear(); }
  double sum_of_medians() const;  // seconds

 private:
  std::vector<std::vector<double>> seconds_;  // by kernel
};

}  // namespace diabolo::bench
