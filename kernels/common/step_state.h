// What changes from one training step to the next, in one small record that lives where the step
// runs. Kernels read it from memory, never from launch arguments, so a recorded step can be
// replayed as it is; the last kernel of a step (`advance`, kernels/optimizer.h) moves it on.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/common/hd.h"
#include "kernels/common/philox.h"

namespace diabolo::kernels {

// The optimizer's scalars of one step, made on the host in double, ahead of time.
struct StepScalars {
  float learning_rate;
  float bias_correction1;       // 1 - beta1^t, t counted from 1
  float bias_correction2_sqrt;  // sqrt(1 - beta2^t)
  float unused;
};

struct StepState {
  uint64_t seed;
  uint64_t step;        // index of the step under way, from 0 over the whole training
  uint64_t batch_row;   // where in the epoch's order this step's batch begins
  uint32_t halt;        // 1 after a step whose loss or gradient norm was not finite
  uint32_t first_row;   // of the batch among the rows that draw in this step: 0 in training
  StepScalars scalars;  // of the step under way
};
static_assert(sizeof(StepState) == 48);

// Slots of the rings beside the state: scalars ahead of the device, losses and their terms behind
// it. Step s uses slot s % kStepSlots.
inline constexpr uint64_t kStepSlots = 1024;
// Terms that a loss may have.
inline constexpr int kMaxLossTerms = 16;

DIABOLO_HD inline RandomKey random_key(const StepState& state, uint32_t purpose) {
  return {state.seed, purpose, static_cast<uint32_t>(state.step), state.first_row};
}

DIABOLO_HD inline bool is_finite(float value) {
  return value - value == 0.0f;
}

// True if this step must change nothing. `norm` is null where the gradient is not clipped.
DIABOLO_HD inline bool step_is_void(const StepState& state, const float* loss, const float* norm) {
  return state.halt != 0 || !is_finite(*loss) || (norm != nullptr && !is_finite(*norm));
}

}  // namespace diabolo::kernels
