// conv2d_forward with one mistake, either way round.
#pragma once

#include <array>

#include "harness/planted_kernels.h"
#include "ops/conv2d_operands.h"

namespace diabolo::planted {

// Where the kernel stands when tap r reads place h of the image; -1: nowhere.
template <Bug kBug>
int64_t grid_at(const kernels::ConvAxis& a, int64_t h, int64_t r) {
  const int64_t offset = h - r * a.dilation + a.before;
  const int64_t phase = kBug == Bug::kPhaseOffByOne ? h - r * a.dilation : offset;
  if (offset < 0 || phase % a.stride != 0 || offset / a.stride >= a.grid) return -1;
  return offset / a.stride;
}

// Of y at [b,row,column,c]; K and N are the channels of a group of x and of y.
template <Bug kBug>
float convolved(const kernels::Conv2dShape& s, const float* x, const float* weight,
                const std::array<int64_t, 4>& at) {
  const auto [b, row, column, c] = at;
  const kernels::ConvSide in = kernels::conv2d_input(s);
  const int64_t N = conv2d_output(s).channels / s.groups, K = in.channels / s.groups;
  const int64_t first = (kBug == Bug::kInterleavesGroups ? c % s.groups : c / N) * K;
  float sum = 0;
  for (int64_t r = 0; r < s.h.kernel; ++r) {
    for (int64_t t = 0; t < s.w.kernel; ++t) {
      const int64_t y = s.is_transposed ? grid_at<kBug>(s.h, row, r) : s.h.image_at(row, r);
      const int64_t z = s.is_transposed ? grid_at<kBug>(s.w, column, t) : s.w.image_at(column, t);
      if (y < 0 || z < 0) continue;
      for (int64_t k = first; k < first + K; ++k)
        sum +=
            x[((b * in.rows + y) * in.columns + z) * in.channels + k] *
            weight[s.is_transposed ? s.weight_at(r, t, c % N, k) : s.weight_at(r, t, k - first, c)];
    }
  }
  return sum;
}

template <Bug kBug>
void convolve(const Call& call, float*) {
  const auto attrs = call.attrs.as<Conv2dForwardAttrs>();
  const auto s = glue::conv2d_shape_of_input(attrs.geometry, call.in[0].desc, call.in[1].desc);
  const kernels::ConvSide out = kernels::conv2d_output(s);
  const bool forgets = kBug == Bug::kForgetsRest && s.is_transposed;
  const int64_t rows = out.rows - (forgets ? attrs.geometry.rest[0] : 0);
  const int64_t columns = out.columns - (forgets ? attrs.geometry.rest[1] : 0);
  for (int64_t b = 0; b < out.B; ++b)
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        for (int64_t c = 0; c < out.channels; ++c) {
          const int64_t at = ((b * out.rows + i) * out.columns + j) * out.channels + c;
          float z = convolved<kBug>(s, call.in[0].as<const float>(), call.in[1].as<const float>(),
                                    {b, i, j, c});
          if (attrs.has_bias) z += call.in[2].as<const float>()[c];
          if (attrs.stores_z) call.out[1].as<float>()[at] = z;
          kernels::with_activation(attrs.activation,
                                   [&](auto act) { call.out[0].as<float>()[at] = act.forward(z); });
        }
}

}  // namespace diabolo::planted
