// What a term adds to the loss: its weight times its raw value.
//
// The weight is constant, or follows a schedule that the host writes ahead of the steps, as it does
// the learning rate: then a recorded step can be replayed as it is.
#pragma once

#include <cstdint>

#include "kernels/common/kernel.h"
#include "kernels/common/step_state.h"

namespace diabolo::kernels {

// Computes contribution = w * raw, and weight = w, which is the gradient of raw; all [1]. w is
// weights[step % kStepSlots, column] where there are weights, else constant. What has no weight
// contributes 0 whatever it is: a warm-up starts where its term may still be infinite.
template <class T>
struct WeighTerm {
  using NoExtents = void;
  float constant = 1;
  int64_t count = 0;   // columns of weights: the terms
  int64_t column = 0;  // this term's
  const StepState* state = nullptr;
  const float* weights = nullptr;  // [kStepSlots, count]; null: constant
  const T* raw = nullptr;
  T* contribution = nullptr;
  T* weight = nullptr;
};

template <class T>
DIABOLO_HD void weigh_term(const WeighTerm<T>& p) {
  float weight = p.constant;
  if (p.weights != nullptr) {
    const auto slot = static_cast<int64_t>(p.state->step % kStepSlots);
    weight = p.weights[slot * p.count + p.column];
  }
  *p.contribution = weight == 0 ? T(0) : T(weight) * *p.raw;
  *p.weight = T(weight);
}

DIABOLO_KERNEL(WeighTerm<float>)

}  // namespace diabolo::kernels
