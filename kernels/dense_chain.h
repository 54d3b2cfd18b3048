// Dense layers one after the other, as one op: what a layer makes stays on the chip for the next.
//
// Shapes as in dense.h: x [B,I], layer k [B,O_k]; each layer's result is rounded to T before the
// next reads it, as if it had been stored, so that a chain has the bits of its layers run one by
// one.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/dense.h"

namespace diabolo::kernels {

inline constexpr int kMostChained = 7;

template <class T>
struct ChainedLayer {
  int64_t O = 0;
  Activation activation = Activation::kIdentity;
  bool weight_transposed = false;
  const T* weight = nullptr;
  const Accum<T>* bias = nullptr;  // null: no bias
};

// y = f_n(… f_1(x W_1 + b_1) … W_n + b_n); or, where `score` is not null, the score of each row as
// DenseScore has it, of the last layer against target [B,O_n], and then y is never stored.
template <class T>
struct DenseChain {
  int64_t B = 0, I = 0;
  int layers = 0;  // 2 … kMostChained
  ChainedLayer<T> layer[kMostChained] = {};
  const T* x = nullptr;
  T* y = nullptr;
  const T* target = nullptr;
  Accum<T>* score = nullptr;

  // Of layer k.
  DenseShape shape(int k) const {
    return {B, k == 0 ? I : layer[k - 1].O, layer[k].O, layer[k].weight_transposed};
  }
};

// kept(value): what a hidden layer's result becomes where it is stored; the tests' reference knows
// the rounding there.
template <class T, class Kept>
void dense_chain_reference(const DenseChain<T>& p, Kept&& kept) {
  std::vector<T> below, hidden;
  const T* x = p.x;
  for (int k = 0; k < p.layers; ++k) {
    const DenseShape shape = p.shape(k);
    const ChainedLayer<T>& layer = p.layer[k];
    const bool is_last = k + 1 == p.layers;
    if (is_last && p.score)
      return dense_score_reference<T>(
          {shape, layer.activation, x, layer.weight, layer.bias, p.target, p.score});
    if (!is_last) hidden.assign(static_cast<size_t>(shape.B * shape.O), T{});
    T* const y = is_last ? p.y : hidden.data();
    dense_forward_reference<T>({shape, layer.activation, x, layer.weight, layer.bias, y, nullptr});
    if (is_last) return;
    for (T& value : hidden) value = kept(value);
    below.swap(hidden);
    x = below.data();
  }
}

DIABOLO_KERNELS(DenseChain)

namespace cuda {
template <class T>
const char* refusal(const DenseChain<T>& p, const Device& device);
// True where by arithmetic (choose.h) one launch of the chain takes less than one a layer.
template <class T>
bool chain_pays(const DenseChain<T>& p, const Device& device);
}  // namespace cuda

}  // namespace diabolo::kernels
