// The learning rate of each step: a pure function, in double.
#pragma once

#include <cstdint>

#include "kernels/common/step_state.h"
#include "model/config.h"

namespace diabolo {

struct Schedule {
  ScheduleConfig config;
  OptimizerConfig optimizer;
  uint64_t steps_per_epoch = 1;
  uint64_t total_steps = 1;

  // Of step `step`, counted from 0. Warm-up: (step + 1) / warmup_steps of the rate. After it
  //   constant: learning_rate
  //   cosine:   from learning_rate to final_fraction of it at the last step, by half a cosine
  //   step:     learning_rate * step_factor^(epoch / step_epochs)
  double learning_rate(uint64_t step) const;

  // What the kernels of that step read: the rate and Adam's bias corrections, t = step + 1.
  kernels::StepScalars scalars(uint64_t step) const;
};

}  // namespace diabolo
