#include "kernel_times.h"

#include <algorithm>

#include "base/seconds.h"

namespace diabolo::bench {

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void KernelTimes::time_once(const Executor& executor, Stream& stream) {
  const std::span<const kernels::Launch> launches = executor.launches();
  seconds_.resize(launches.size());
  stream.submit([&](void* native) {
    for (size_t k = 0; k < launches.size(); ++k) {
      const auto began = Clock::now();
      launches[k](native);
      seconds_[k].push_back(seconds_since(began));
    }
  });
  stream.synchronize();
}

double KernelTimes::sum_of_medians() const {
  double sum = 0;
  for (const std::vector<double>& times : seconds_) sum += median(times);
  return sum;
}

}  // namespace diabolo::bench
