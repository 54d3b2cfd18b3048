// State of the model (running statistics, codebooks) takes the value that a step has made for it,
// unless the step was void.
//
// A step's nodes compute the next value into a temporary, at any place; this is the one node that
// writes the state, behind the loss. So no other kernel need ask whether its step is void.
#pragma once

#include <cstdint>

#include "kernels/common/kernel.h"
#include "kernels/common/step_state.h"

namespace diabolo::kernels {

// value = next; both [n]. Does nothing in a void step (step_is_void).
template <class T>
struct UpdateState {
  int64_t n = 0;
  const StepState* state = nullptr;
  const T* loss = nullptr;  // [1]
  const T* norm = nullptr;  // [1], null unless gradients are clipped
  const T* next = nullptr;
  T* value = nullptr;
};

template <class T>
void update_state_reference(const UpdateState<T>& p) {
  const auto loss = static_cast<float>(*p.loss);
  const auto norm = p.norm ? static_cast<float>(*p.norm) : 0.0f;
  if (step_is_void(*p.state, &loss, p.norm ? &norm : nullptr)) return;
  for (int64_t k = 0; k < p.n; ++k) p.value[k] = p.next[k];
}

DIABOLO_KERNEL(UpdateState<float>)

}  // namespace diabolo::kernels
