// The L2 penalty on weights, as a term of the loss.
#pragma once

#include <cstdint>

#include "kernels/common/kernel.h"

namespace diabolo::kernels {

// Computes loss = lambda * sum w^2; weight [n], loss [1].
template <class T>
struct L2Penalty {
  int64_t n = 0;
  float lambda = 0;
  const T* weight = nullptr;
  T* loss = nullptr;
};

// Computes d_weight = 2 lambda g w, added to what is there if `accumulate`; both [n], g [1].
template <class T>
struct L2PenaltyGrad {
  int64_t n = 0;
  float lambda = 0;
  bool accumulate = false;
  const T* weight = nullptr;
  T* d_weight = nullptr;
  const T* g = nullptr;  // null: 1

  DIABOLO_HD T factor() const { return g ? T(2 * lambda) * *g : T(2 * lambda); }
};

template <class T>
void l2_penalty_reference(const L2Penalty<T>& p) {
  T sum(0);
  for (int64_t k = 0; k < p.n; ++k) sum += p.weight[k] * p.weight[k];
  *p.loss = sum * T(p.lambda);
}

template <class T>
void l2_penalty_grad_reference(const L2PenaltyGrad<T>& p) {
  const T factor = p.factor();
  for (int64_t k = 0; k < p.n; ++k) {
    const T term = factor * p.weight[k];
    p.d_weight[k] = p.accumulate ? T(p.d_weight[k] + term) : term;
  }
}

DIABOLO_KERNEL(L2Penalty<float>)
DIABOLO_KERNEL(L2PenaltyGrad<float>)
namespace cuda {
inline uint64_t scratch_bytes(const L2Penalty<float>& p, const Device&) {
  return flat_sum_bytes(p.n);
}
}  // namespace cuda

}  // namespace diabolo::kernels
