// The operands of a dense op, which its case files share.
#pragma once

#include "kernels/dense.h"
#include "selftest/cases/shapes.h"

namespace diabolo::selftest {

template <class T>
kernels::DenseShape dense_shape(const ReferenceCall<T>& call, bool weight_transposed) {
  const TensorDesc& x = call.in_desc[0];
  const TensorDesc& weight = call.in_desc[1];
  return {x.extent(0), row_elems(x), weight.extent(weight_transposed ? 0 : 1), weight_transposed};
}

inline TensorDesc weight_desc(DType dtype, const LayerSize& size, bool weight_transposed) {
  return weight_transposed ? TensorDesc(dtype, {size.O, size.I})
                           : TensorDesc(dtype, {size.I, size.O});
}

// x, weight, and bias.
inline std::vector<Operand> layer_operands(DType dtype, const LayerSize& size, Fill fill,
                                           bool has_bias, bool weight_transposed) {
  // Weights stay ordinary where x is extreme: their product is then as extreme as x.
  const bool is_extreme = fill == Fill::kLarge || fill == Fill::kTiny || fill == Fill::kBroken;
  const Fill rest = is_extreme ? Fill::kUniform : fill;
  std::vector<Operand> in = {{TensorDesc(dtype, {size.B, size.I}), fill},
                             {weight_desc(dtype, size, weight_transposed), rest}};
  if (has_bias) in.push_back({TensorDesc(accum_of(dtype), {size.O}), rest});
  return in;
}

inline std::string layer_text(kernels::Activation activation, DType dtype, const LayerSize& size,
                              Fill fill) {
  return cat(kernels::name(activation), " ", name(dtype), " ", size.text(), " ", name(fill));
}

}  // namespace diabolo::selftest
