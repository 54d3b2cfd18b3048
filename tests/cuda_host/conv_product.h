// Convolutions by the tiled product, through a test's own operand and output map.
#pragma once

#include "kernels/common/scalar.h"

namespace diabolo::test {

using kernels::Bf16;

// x [B, H, W, C], weight [kernel, kernel, C, O], y and dz [B, out_height, out_width, O].
struct Conv {
  int B, H, W, C, O, kernel, stride, padding;

  int out_height() const { return (H + 2 * padding - kernel) / stride + 1; }
  int out_width() const { return (W + 2 * padding - kernel) / stride + 1; }
};

// y = x * weight.
void launch_conv_forward(const Conv& conv, const Bf16* x, const Bf16* weight, float* y,
                         void* stream);
// dx from dz: one launch for each of the stride^2 phases.
void launch_conv_data_grad(const Conv& conv, const Bf16* dz, const Bf16* weight, float* dx,
                           void* stream);

}  // namespace diabolo::test
