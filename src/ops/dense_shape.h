// What the dense ops have in common: reading and checking the operands of a layer.
#pragma once

#include <span>
#include <string>

#include "kernels/dense.h"
#include "ops/glue.h"

namespace diabolo::glue {

// x T[B,…] as [B,I] and weight T[I,O] (or [O,I]) as a shape; throws Error{kUsage} if they do not
// fit.
inline kernels::DenseShape dense_shape(const TensorDesc& x, const TensorDesc& weight,
                                       bool weight_transposed) {
  expect_rows("x", x);
  const int64_t I = row_elems(x);
  const int in_axis = weight_transposed ? 1 : 0;
  expect(
      weight.rank() == 2 && weight.dtype() == x.dtype() && weight.extent(in_axis) == I, "weight",
      weight_transposed ? cat(name(x.dtype()), "[*,", I, "]") : cat(name(x.dtype()), "[", I, ",*]"),
      weight);
  return {x.extent(0), I, weight.extent(1 - in_axis), weight_transposed};
}

inline void expect_bias(const kernels::DenseShape& shape, const TensorDesc& x,
                        const TensorDesc& bias) {
  expect_desc("bias", TensorDesc(accum_dtype(x.dtype()), {shape.O}), bias);
}

inline double dense_flops(const kernels::DenseShape& s) {
  return 2.0 * static_cast<double>(s.B) * static_cast<double>(s.I) * static_cast<double>(s.O);
}

inline std::string dense_text(kernels::Activation activation, bool has_bias, bool transposed) {
  return cat(kernels::name(activation), has_bias ? ", bias" : "", transposed ? ", tied" : "");
}

}  // namespace diabolo::glue
