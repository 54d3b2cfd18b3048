// What the convolutions have in common: reading and checking the operands of a layer.
#pragma once

#include <span>
#include <string>

#include "kernels/conv2d.h"
#include "ops/conv2d.h"
#include "ops/glue.h"

namespace diabolo::glue {

// The shape of a layer that reads x, or whose gradient dz is, by its weight. Throw Error{kUsage} if
// they do not fit.
kernels::Conv2dShape conv2d_shape_of_input(const Conv2dGeometry& geometry, const TensorDesc& x,
                                           const TensorDesc& weight);
kernels::Conv2dShape conv2d_shape_of_output(const Conv2dGeometry& geometry, const TensorDesc& dz,
                                            const TensorDesc& weight);
// Of image and grid, both known.
kernels::Conv2dShape conv2d_shape_of_sides(const Conv2dGeometry& geometry,
                                           const std::array<int32_t, 2>& kernel,
                                           const TensorDesc& image, const TensorDesc& grid);

TensorDesc desc_of(DType dtype, const kernels::ConvSide& side);
double conv2d_flops(const kernels::Conv2dShape& shape);
// "stride 2, padding 0 1 0 1, transposed": what is not as usual.
std::string conv2d_text(const Conv2dGeometry& geometry);

}  // namespace diabolo::glue
