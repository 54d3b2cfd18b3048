// Convolutions over images, NHWC: y = f(x * W + b), and its gradients; either way round.
//
// One geometry has two sides, the image [B,H,W,C] and the grid [B,P,Q,O] of the places at which a
// kernel of [R,S] numbers stands. A convolution makes the grid of the image:
//
//   grid[b,p,q,o]  = sum over r, s, i of image[b, p a + r d - top, q a' + s d' - left, g C/G + i]
//                                        * weight[r,s,i,o]
//
// with strides a, dilations d, and zeros outside of the image; o is of group g = o / (O/G). The
// transposed one makes the image of the grid, through the same weights: what of the image stood
// under a kernel gets its share.
//
//   image[b,h,w,c] = sum over r, s, o of c's group of grid[b,p,q,o] * weight[r,s,c mod C/G,o]
//                    where p a + r d = h + top and q a' + s d' = w + left
//
// That is the data gradient of the first, and the first is the data gradient of this; no zeros are
// ever inserted. weight is [R,S,C/G,O] for both, so a layer and its mirror may share it, and with
// one group a kernel of 1x1 is a dense layer's weight [I,O]. x, y and the rest are the one side or
// the other: `is_transposed` says which.
//
// T is float, Bf16 (accumulated in float), double or any scalar the references accept. As in
// dense.h, backward kernels take dz. Source: Dumoulin and Visin 2016, "A guide to convolution
// arithmetic for deep learning". Below each record: the reference, which is the definition.
#pragma once

#include <cstdint>

#include "kernels/common/activations.h"
#include "kernels/common/kernel.h"

namespace diabolo::kernels {

// One axis: extents of both sides, and how the kernel walks.
struct ConvAxis {
  int64_t image = 1, grid = 1, kernel = 1;
  int64_t stride = 1, dilation = 1;
  int64_t before = 0;  // zeros in front of the image; those behind it follow from the extents

  // What of the image tap r reads where the kernel stands at p; -1: a zero beside it.
  DIABOLO_HD int64_t image_at(int64_t p, int64_t r) const {
    const int64_t at = p * stride + r * dilation - before;
    return at >= 0 && at < image ? at : -1;
  }
  // Where the kernel stands when tap r reads h of the image; -1: nowhere.
  DIABOLO_HD int64_t grid_at(int64_t h, int64_t r) const {
    const int64_t at = h + before - r * dilation;
    if (at < 0 || at % stride != 0 || at / stride >= grid) return -1;
    return at / stride;
  }
};

struct Conv2dShape {
  int64_t B = 0;
  ConvAxis h, w;
  int64_t C = 0, O = 0;  // channels of image and grid, both multiples of `groups`
  int64_t groups = 1;
  bool is_transposed = false;  // x is the grid, y the image

  DIABOLO_HD int64_t group_in() const { return C / groups; }
  DIABOLO_HD int64_t group_out() const { return O / groups; }
  DIABOLO_HD int64_t weight_elems() const { return h.kernel * w.kernel * group_in() * O; }
  // Channel i of a group, channel o of the grid.
  DIABOLO_HD int64_t weight_at(int64_t r, int64_t s, int64_t i, int64_t o) const {
    return ((r * w.kernel + s) * group_in() + i) * O + o;
  }
  DIABOLO_HD int64_t image_index(int64_t b, int64_t y, int64_t x, int64_t c) const {
    return ((b * h.image + y) * w.image + x) * C + c;
  }
  DIABOLO_HD int64_t grid_index(int64_t b, int64_t p, int64_t q, int64_t o) const {
    return ((b * h.grid + p) * w.grid + q) * O + o;
  }
};

// Computes y = f(z), z = x * W + b; stores z too where `z` is not null.
template <class T>
struct Conv2dForward {
  Conv2dShape shape;
  Activation activation = Activation::kIdentity;
  const T* x = nullptr;
  const T* weight = nullptr;
  const Accum<T>* bias = nullptr;  // [channels of y]; null: none
  T* y = nullptr;
  T* z = nullptr;
};

// Computes dx, times f'(saved) elementwise where `saved` is not null: what the layer below kept,
// like x (see kSavesZ), and the result is then that layer's dz.
template <class T>
struct Conv2dDataGrad {
  Conv2dShape shape;
  Activation activation = Activation::kIdentity;  // of the layer below
  const T* dz = nullptr;
  const T* weight = nullptr;
  const T* saved = nullptr;
  T* dx = nullptr;
};

// Computes d_weight and d_bias = the sums of dz over all but its channels, in the accumulation
// type; each is added to what is there if its flag says so.
template <class T>
struct Conv2dWeightGrad {
  Conv2dShape shape;
  bool accumulates_weight = false;
  bool accumulates_bias = false;
  const T* x = nullptr;
  const T* dz = nullptr;
  Accum<T>* d_weight = nullptr;
  Accum<T>* d_bias = nullptr;  // null: the layer has no bias
};

// One side of a convolution as a tensor.
struct ConvSide {
  int64_t B, rows, columns, channels;
  DIABOLO_HD int64_t elems() const { return B * rows * columns * channels; }
};
DIABOLO_HD inline ConvSide image_side(const Conv2dShape& s) {
  return {s.B, s.h.image, s.w.image, s.C};
}
DIABOLO_HD inline ConvSide grid_side(const Conv2dShape& s) {
  return {s.B, s.h.grid, s.w.grid, s.O};
}
DIABOLO_HD inline ConvSide conv2d_input(const Conv2dShape& s) {
  return s.is_transposed ? grid_side(s) : image_side(s);
}
DIABOLO_HD inline ConvSide conv2d_output(const Conv2dShape& s) {
  return s.is_transposed ? image_side(s) : grid_side(s);
}

template <class T>
DIABOLO_HD Accum<T> grid_sum(const Conv2dShape& s, const T* image, const T* weight, int64_t b,
                             int64_t p, int64_t q, int64_t o) {
  Accum<T> sum(0);
  const int64_t first = o / s.group_out() * s.group_in();
  for (int64_t r = 0; r < s.h.kernel; ++r) {
    for (int64_t t = 0; t < s.w.kernel; ++t) {
      const int64_t y = s.h.image_at(p, r), x = s.w.image_at(q, t);
      if (y < 0 || x < 0) continue;
      for (int64_t i = 0; i < s.group_in(); ++i)
        sum += widen(image[s.image_index(b, y, x, first + i)]) *
               widen(weight[s.weight_at(r, t, i, o)]);
    }
  }
  return sum;
}

template <class T>
DIABOLO_HD Accum<T> image_sum(const Conv2dShape& s, const T* grid, const T* weight, int64_t b,
                              int64_t y, int64_t x, int64_t c) {
  Accum<T> sum(0);
  const int64_t first = c / s.group_in() * s.group_out();
  for (int64_t r = 0; r < s.h.kernel; ++r) {
    for (int64_t t = 0; t < s.w.kernel; ++t) {
      const int64_t p = s.h.grid_at(y, r), q = s.w.grid_at(x, t);
      if (p < 0 || q < 0) continue;
      for (int64_t o = first; o < first + s.group_out(); ++o)
        sum += widen(grid[s.grid_index(b, p, q, o)]) *
               widen(weight[s.weight_at(r, t, c % s.group_in(), o)]);
    }
  }
  return sum;
}

// The sum behind number `at` of the side that is made.
template <class T>
DIABOLO_HD Accum<T> conv2d_sum(const Conv2dShape& s, bool to_image, const T* source,
                               const T* weight, int64_t at) {
  const ConvSide out = to_image ? image_side(s) : grid_side(s);
  const int64_t c = at % out.channels, x = at / out.channels % out.columns;
  const int64_t y = at / out.channels / out.columns % out.rows;
  const int64_t b = at / out.channels / out.columns / out.rows;
  return to_image ? image_sum(s, source, weight, b, y, x, c)
                  : grid_sum(s, source, weight, b, y, x, c);
}

template <class T>
void conv2d_forward_reference(const Conv2dForward<T>& p) {
  const ConvSide out = conv2d_output(p.shape);
  with_activation(p.activation, [&](auto act) {
    for (int64_t at = 0; at < out.elems(); ++at) {
      Accum<T> z = conv2d_sum(p.shape, p.shape.is_transposed, p.x, p.weight, at);
      if (p.bias) z += p.bias[at % out.channels];
      if (p.z) p.z[at] = narrow<T>(z);
      p.y[at] = narrow<T>(act.forward(z));
    }
  });
}

template <class T>
void conv2d_data_grad_reference(const Conv2dDataGrad<T>& p) {
  with_activation(p.activation, [&](auto act) {
    for (int64_t at = 0; at < conv2d_input(p.shape).elems(); ++at) {
      Accum<T> dx = conv2d_sum(p.shape, !p.shape.is_transposed, p.dz, p.weight, at);
      if (p.saved) dx *= act.derivative(Accum<T>(widen(p.saved[at])));
      p.dx[at] = narrow<T>(dx);
    }
  });
}

template <class T>
Accum<T> weight_sum(const Conv2dShape& s, const T* image, const T* grid, int64_t r, int64_t t,
                    int64_t i, int64_t o) {
  Accum<T> sum(0);
  const int64_t c = o / s.group_out() * s.group_in() + i;
  for (int64_t b = 0; b < s.B; ++b) {
    for (int64_t p = 0; p < s.h.grid; ++p) {
      for (int64_t q = 0; q < s.w.grid; ++q) {
        const int64_t y = s.h.image_at(p, r), x = s.w.image_at(q, t);
        if (y < 0 || x < 0) continue;
        sum += widen(image[s.image_index(b, y, x, c)]) * widen(grid[s.grid_index(b, p, q, o)]);
      }
    }
  }
  return sum;
}

template <class T>
void conv2d_weight_grad_reference(const Conv2dWeightGrad<T>& p) {
  const Conv2dShape& s = p.shape;
  const T* image = s.is_transposed ? p.dz : p.x;
  const T* grid = s.is_transposed ? p.x : p.dz;
  for (int64_t r = 0; r < s.h.kernel; ++r)
    for (int64_t t = 0; t < s.w.kernel; ++t)
      for (int64_t i = 0; i < s.group_in(); ++i)
        for (int64_t o = 0; o < s.O; ++o) {
          const Accum<T> sum = weight_sum(s, image, grid, r, t, i, o);
          Accum<T>& out = p.d_weight[s.weight_at(r, t, i, o)];
          out = p.accumulates_weight ? Accum<T>(out + sum) : sum;
        }
  if (!p.d_bias) return;
  const ConvSide side = conv2d_output(s);
  for (int64_t c = 0; c < side.channels; ++c) {
    Accum<T> sum(0);
    for (int64_t k = 0; k < side.B * side.rows * side.columns; ++k)
      sum += widen(p.dz[k * side.channels + c]);
    p.d_bias[c] = p.accumulates_bias ? Accum<T>(p.d_bias[c] + sum) : sum;
  }
}

DIABOLO_KERNELS(Conv2dForward)
DIABOLO_KERNELS(Conv2dDataGrad)
DIABOLO_KERNELS(Conv2dWeightGrad)
namespace cuda {
// Its kernels walk over any extents of at least 1.
inline const char* refuse_shape(const Conv2dShape& s, const Device& device) {
  for (const int64_t extent :
       {s.B, s.h.image, s.h.grid, s.h.kernel, s.w.image, s.w.grid, s.w.kernel, s.C, s.O, s.groups})
    if (extent < 1) return "an extent is 0";
  return refuse_device(device);
}
// The sums of a weight gradient in parts: rows of the grids of all images, cells of the output for
// the bias, and the numbers of weight and bias that each part sums.
struct Conv2dGradParts {
  int64_t parts, rows, cells, numbers;
};
// By the shape alone. Enough parts for some 2^17 threads, but no more than 512, which one thread
// adds up for each number: below 2^17 / 512 = 256 numbers there are fewer threads.
inline Conv2dGradParts conv2d_grad_parts(const Conv2dShape& s, bool has_bias) {
  constexpr int64_t kThreads = int64_t{1} << 17, kMostParts = 512;
  const ConvSide out = conv2d_output(s);
  const int64_t numbers = s.weight_elems() + (has_bias ? out.channels : 0);
  const int64_t wanted = kThreads / numbers + 1;
  const int64_t most = wanted < kMostParts ? wanted : kMostParts;
  const int64_t all_rows = s.B * s.h.grid;
  const int64_t rows = (all_rows + most - 1) / most, parts = (all_rows + rows - 1) / rows;
  return {parts, rows, (out.B * out.rows * out.columns + parts - 1) / parts, numbers};
}
template <class T>
uint64_t scratch_bytes(const Conv2dWeightGrad<T>& p, const Device&) {
  const Conv2dGradParts split = conv2d_grad_parts(p.shape, p.d_bias != nullptr);
  return aligned_bytes(4 * static_cast<uint64_t>(split.parts * split.numbers));
}
}  // namespace cuda

}  // namespace diabolo::kernels
