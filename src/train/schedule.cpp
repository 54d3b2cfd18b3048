#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace diabolo {

double Schedule::learning_rate(uint64_t step) const {
  const double rate = optimizer.learning_rate;
  const auto warmup = static_cast<uint64_t>(config.warmup_steps);
  if (step < warmup) return rate * static_cast<double>(step + 1) / static_cast<double>(warmup);
  if (config.kind == ScheduleKind::kStep) {
    const uint64_t changes = step / steps_per_epoch / static_cast<uint64_t>(config.step_epochs);
    return rate * std::pow(config.step_factor, static_cast<double>(changes));
  }
  if (config.kind == ScheduleKind::kCosine && total_steps > warmup + 1) {
    const double share = std::min(
        1.0, static_cast<double>(step - warmup) / static_cast<double>(total_steps - 1 - warmup));
    const double low = rate * config.final_fraction;
    return low + (rate - low) * 0.5 * (1 + std::cos(std::numbers::pi * share));
  }
  return rate;
}

kernels::StepScalars Schedule::scalars(uint64_t step) const {
  const double t = static_cast<double>(step + 1);
  kernels::StepScalars out{};
  out.learning_rate = static_cast<float>(learning_rate(step));
  out.bias_correction1 = static_cast<float>(1 - std::pow(optimizer.beta1, t));
  out.bias_correction2_sqrt = static_cast<float>(std::sqrt(1 - std::pow(optimizer.beta2, t)));
  return out;
}

}  // namespace diabolo
