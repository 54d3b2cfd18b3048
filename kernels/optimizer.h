// The end of a training step: gradient norm, update of all parameters at once, advance of the
// state.
//
// Parameters, gradients and moments are flat blobs of the same layout (one allocation each), so one
// launch serves all tensors. Padding between tensors is 0 everywhere and stays 0.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/common/kernel.h"
#include "kernels/common/math.h"
#include "kernels/common/parts.h"
#include "kernels/common/step_state.h"

namespace diabolo::kernels {

enum class Optimizer : int32_t { kAdam, kAdamW, kSgd };

// The definitions are PyTorch's (torch.optim.Adam, AdamW, SGD with dampening 0), after Kingma and
// Ba 2015 and Loshchilov and Hutter 2019. Adam and SGD add weight_decay * w to the gradient; AdamW
// shrinks w by learning_rate * weight_decay first.
struct OptimizerRule {
  Optimizer kind = Optimizer::kAdam;
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
  float weight_decay = 0;
  float momentum = 0;   // SGD
  float clip_norm = 0;  // the gradient is scaled by min(1, clip_norm / (norm + 1e-6)); 0: never
};

// Changes master, m, v (and low, the bf16 copy that products read, where there is one); all [n].
// Does nothing in a void step (step_is_void).
template <class T>
struct OptimizerStep {
  int64_t n = 0;
  OptimizerRule rule;
  const StepState* state = nullptr;
  const T* loss = nullptr;  // [1]
  const T* norm = nullptr;  // [1], null unless clip_norm > 0
  const T* grad = nullptr;
  T* master = nullptr;
  T* m = nullptr;  // SGD: the momentum buffer, null if momentum is 0
  T* v = nullptr;  // null for SGD
  Bf16* low = nullptr;
  // CUDA: sums among grad that stand in parts instead, at most kMaxGradParts.
  std::span<const Parts> grad_parts = {};
};
inline constexpr std::size_t kMaxGradParts = 48;

// Computes norm = sqrt(sum grad^2); grad [n], norm [1].
template <class T>
struct GlobalNorm {
  int64_t n = 0;
  const T* grad = nullptr;
  T* norm = nullptr;
};

// Computes total = sum of terms in order; each term [1].
inline constexpr int kMaxTerms = 8;
template <class T>
struct SumTerms {
  using NoExtents = void;
  int count = 0;
  const T* terms[kMaxTerms] = {};
  T* total = nullptr;
};

// Writes the loss into losses[step % kStepSlots] and each term into its place beside it; sets halt
// if the step was void; else moves state to the next step: step + 1, batch_row + batch_rows, and
// scalars[(step + 1) % kStepSlots] as its own.
struct Advance {
  using NoExtents = void;
  uint64_t batch_rows = 0;
  StepState* state = nullptr;
  const StepScalars* scalars = nullptr;  // [kStepSlots]
  const float* loss = nullptr;
  const float* norm = nullptr;  // null unless clipped
  float* losses = nullptr;      // [kStepSlots]
  int term_count = 0;           // 0: the terms are not wanted
  const float* terms[kMaxLossTerms] = {};
  float* term_ring = nullptr;         // [kStepSlots, term_count]
  std::uint32_t* arrivals = nullptr;  // CUDA, joined: a word of zeros
};

// One element's update. The rule is read once per call, so kernels pass it by value.
template <class T>
struct Updated {
  T master, m, v;
};

template <class T>
DIABOLO_HD Updated<T> update_element(const OptimizerRule& rule, const StepScalars& scalars, T grad,
                                     T w, T m, T v) {
  const T lr(scalars.learning_rate);
  if (rule.kind != Optimizer::kAdamW) grad = grad + T(rule.weight_decay) * w;
  if (rule.kind == Optimizer::kSgd) {
    m = T(rule.momentum) * m + grad;
    return {w - lr * m, m, v};
  }
  if (rule.kind == Optimizer::kAdamW) w = w - lr * T(rule.weight_decay) * w;
  m = T(rule.beta1) * m + (T(1) - T(rule.beta1)) * grad;
  v = T(rule.beta2) * v + (T(1) - T(rule.beta2)) * grad * grad;
  const T denominator = sqrt_of(v) / T(scalars.bias_correction2_sqrt) + T(rule.epsilon);
  return {w - lr / T(scalars.bias_correction1) * m / denominator, m, v};
}

// What the gradient is multiplied by.
template <class T>
DIABOLO_HD T clip_scale(const OptimizerRule& rule, const T* norm) {
  if (norm == nullptr) return T(1);
  const T ratio = T(rule.clip_norm) / (*norm + T(1e-6f));
  return ratio < T(1) ? ratio : T(1);
}

template <class T>
void optimizer_reference(const OptimizerStep<T>& p) {
  const float loss = static_cast<float>(*p.loss);
  const float norm = p.norm ? static_cast<float>(*p.norm) : 0.0f;
  if (step_is_void(*p.state, &loss, p.norm ? &norm : nullptr)) return;
  const T scale = clip_scale(p.rule, p.norm);
  for (int64_t k = 0; k < p.n; ++k) {
    const auto now = update_element<T>(p.rule, p.state->scalars, p.grad[k] * scale, p.master[k],
                                       p.m ? p.m[k] : T(0), p.v ? p.v[k] : T(0));
    p.master[k] = now.master;
    if (p.m) p.m[k] = now.m;
    if (p.v) p.v[k] = now.v;
    if (p.low) p.low[k] = to_bf16(static_cast<float>(now.master));
  }
}

template <class T>
void global_norm_reference(const GlobalNorm<T>& p) {
  T sum(0);
  for (int64_t k = 0; k < p.n; ++k) sum += p.grad[k] * p.grad[k];
  *p.norm = sqrt_of(sum);
}

template <class T>
void sum_terms_reference(const SumTerms<T>& p) {
  T sum(0);
  for (int k = 0; k < p.count; ++k) sum += *p.terms[k];
  *p.total = sum;
}

DIABOLO_HD inline void advance_state(const Advance& p) {
  StepState& state = *p.state;
  const uint64_t slot = state.step % kStepSlots;
  p.losses[slot] = *p.loss;
  const auto count = static_cast<uint64_t>(p.term_count);
  for (uint64_t i = 0; i < count; ++i) p.term_ring[slot * count + i] = *p.terms[i];
  if (step_is_void(state, p.loss, p.norm)) {
    state.halt = 1;
    return;
  }
  state.step += 1;
  state.batch_row += p.batch_rows;
  state.scalars = p.scalars[state.step % kStepSlots];
}

DIABOLO_KERNEL(OptimizerStep<float>)
DIABOLO_KERNEL(GlobalNorm<float>)
DIABOLO_KERNEL(SumTerms<float>)
DIABOLO_KERNEL(Advance)
namespace cuda {
inline uint64_t scratch_bytes(const GlobalNorm<float>& p, const Device&) {
  return flat_sum_bytes(p.n);
}
// The update and the advance of the state in one launch, the latter by the last block to come.
inline bool joins(const OptimizerStep<float>&, const Advance&, const Device&) {
  return true;
}
Launch prepare_joined(const OptimizerStep<float>& update, const Advance& advance,
                      const Device& device, void* scratch);
}  // namespace cuda

}  // namespace diabolo::kernels
