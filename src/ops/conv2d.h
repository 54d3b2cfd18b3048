// Convolutions over images, either way round: their attributes, inputs and outputs.
#pragma once

#include <array>

#include "kernels/common/activations.h"
#include "ops/conv2d_shape.h"
#include "ops/op.h"

namespace diabolo {

// Images are NHWC. A convolution makes the grid T[B,P,Q,O] of the image T[B,H,W,C]; the transposed
// one makes the image of the grid, by the same weight T[R,S,C/groups,O] (kernels/conv2d.h). The
// bias is A[channels of y].

// Down and across.
struct Conv2dGeometry {
  std::array<int32_t, 2> stride = {1, 1};
  std::array<int32_t, 2> dilation = {1, 1};
  std::array<int32_t, 2> before = {0, 0}, after = {0, 0};  // zeros beside the image
  // What the image has beyond the last place of the kernel, 0 … stride - 1. Read where the image
  // is made (transposed, or the gradient of what is not), elsewhere it follows from the image.
  std::array<int32_t, 2> rest = {0, 0};
  int32_t groups = 1;  // divides C and O; C: depthwise
  bool is_transposed = false;

  ConvWalk walk(size_t axis, int64_t kernel) const {
    return {kernel, stride[axis], dilation[axis], before[axis], after[axis]};
  }
};

// x, weight, bias if has_bias -> y, and z like y if stores_z.
struct Conv2dForwardAttrs {
  Conv2dGeometry geometry = {};
  kernels::Activation activation = kernels::Activation::kIdentity;
  bool has_bias = true;
  bool stores_z = false;  // for the gradient of an activation that needs z
};
extern const OpDef kConv2dForward;

// dz, weight -> dx; if has_epilogue also saved, of as many elements a row -> dx like saved.
struct Conv2dDataGradAttrs {
  Conv2dGeometry geometry = {};                                     // of the layer
  kernels::Activation activation = kernels::Activation::kIdentity;  // of the layer below
  bool has_epilogue = false;
};
extern const OpDef kConv2dDataGrad;

// x, dz -> d_weight A[R,S,C/groups,O], and d_bias if has_bias.
struct Conv2dWeightGradAttrs {
  Conv2dGeometry geometry = {};
  std::array<int32_t, 2> kernel = {1, 1};
  bool has_bias = true;
  bool accumulates_weight = false;  // adds to what the gradient holds
  bool accumulates_bias = false;
};
extern const OpDef kConv2dWeightGrad;

}  // namespace diabolo
