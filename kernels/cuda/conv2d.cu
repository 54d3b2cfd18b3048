// Convolutions over images, either way round, and their gradients: direct sums.
//
// Computes    y = f(x * W + b), its z; dx, perhaps times f'(saved); d_weight and d_bias
// Shapes      images [B,H,W,C] and grids [B,P,Q,O] T, weight [R,S,C/G,O] T; bias and gradients f32
// Work split  a thread per number of the side that is made, channels side by side, so that a warp
//             reads one pixel's channels together and weights in rows; choose_flat_blocks.
//             Gradients of weight and bias: a thread per number and part of the grids' rows, or of
//             the output's cells; parts to scratch, then one thread per number adds them
// Traffic     every number of a patch once per channel that it goes to, from cache
// Numerics    float, in the order of the reference; parts ascending. An image has the same bits in
//             every batch
// Limits      extents of at least 1, less than 2^31 blocks. Simple on purpose: for the ladder, and
//             for shapes that no product takes
// Source      kernels/conv2d.h
#include "kernels/conv2d.h"

#include "kernels/cuda/flat.cuh"

namespace diabolo::kernels::cuda {
namespace {

// Calls f(k) for the numbers of [0, n) that fall to this thread: a grid-stride loop.
template <class F>
GPU_VERB void for_each_number(int64_t n, F&& f) {
  const int64_t stride = int64_t{gridDim.x} * kFlatThreads;
  for (int64_t k = int64_t{blockIdx.x} * kFlatThreads + threadIdx.x; k < n; k += stride) f(k);
}

template <class T>
__global__ void __launch_bounds__(kFlatThreads)
    conv2d_forward_kernel(const __grid_constant__ Conv2dForward<T> p) {
  const ConvSide out = conv2d_output(p.shape);
  for_each_number(out.elems(), [&](int64_t at) {
    float z = conv2d_sum(p.shape, p.shape.is_transposed, p.x, p.weight, at);
    if (p.bias) z += p.bias[at % out.channels];
    if (p.z) p.z[at] = narrow<T>(z);
    p.y[at] = narrow<T>(with_activation(p.activation, [&](auto act) { return act.forward(z); }));
  });
}

template <class T>
__global__ void __launch_bounds__(kFlatThreads)
    conv2d_data_grad_kernel(const __grid_constant__ Conv2dDataGrad<T> p) {
  for_each_number(conv2d_input(p.shape).elems(), [&](int64_t at) {
    float dx = conv2d_sum(p.shape, !p.shape.is_transposed, p.dz, p.weight, at);
    if (p.saved) {
      const float saved = widen(p.saved[at]);
      dx *= with_activation(p.activation, [&](auto act) { return act.derivative(saved); });
    }
    p.dx[at] = narrow<T>(dx);
  });
}

template <class T>
struct Parts {
  Conv2dWeightGrad<T> p;
  Conv2dGradParts split;
  float* sums;  // [parts, numbers]: of the weight, then of the bias
};

// Over rows of the grids of all images. Rolled up: what a few more registers would bring is no
// match for a product.
template <class T>
GPU_VERB float weight_part(const Conv2dWeightGrad<T>& p, int64_t k, int64_t first, int64_t last) {
  const Conv2dShape& s = p.shape;
  const int64_t o = k % s.O, i = k / s.O % s.group_in(), tap = k / s.O / s.group_in();
  const int64_t c = o / s.group_out() * s.group_in() + i;
  const T* image = s.is_transposed ? p.dz : p.x;
  const T* grid = s.is_transposed ? p.x : p.dz;
  float sum = 0;
#pragma unroll 1
  for (int64_t row = first; row < last; ++row) {
    const int64_t b = row / s.h.grid;
    const int64_t y = s.h.image_at(row - b * s.h.grid, tap / s.w.kernel);
    if (y < 0) continue;
#pragma unroll 1
    for (int64_t q = 0; q < s.w.grid; ++q) {
      const int64_t x = s.w.image_at(q, tap % s.w.kernel);
      if (x >= 0)
        sum +=
            widen(image[s.image_index(b, y, x, c)]) * widen(grid[(row * s.w.grid + q) * s.O + o]);
    }
  }
  return sum;
}

template <class T>
GPU_VERB float bias_part(const Conv2dWeightGrad<T>& p, int64_t c, int64_t first, int64_t last) {
  const int64_t channels = conv2d_output(p.shape).channels;
  float sum = 0;
#pragma unroll 1
  for (int64_t k = first; k < last; ++k) sum += widen(p.dz[k * channels + c]);
  return sum;
}

template <class T>
__global__ void __launch_bounds__(kFlatThreads)
    conv2d_weight_grad_kernel(const __grid_constant__ Parts<T> call) {
  const Conv2dGradParts& split = call.split;
  for_each_number(split.parts * split.numbers, [&](int64_t at) {
    const int64_t part = at / split.numbers, k = at % split.numbers;
    const Conv2dShape& s = call.p.shape;
    const ConvSide out = conv2d_output(s);
    const int64_t weights = s.weight_elems();
    const bool is_weight = k < weights;
    const int64_t share = is_weight ? split.rows : split.cells;
    const int64_t all = is_weight ? s.B * s.h.grid : out.B * out.rows * out.columns;
    const int64_t end = (part + 1) * share, last = end < all ? end : all;
    call.sums[at] = is_weight ? weight_part(call.p, k, part * share, last)
                              : bias_part(call.p, k - weights, part * share, last);
  });
}

template <class T>
__global__ void __launch_bounds__(kFlatThreads)
    conv2d_finish_kernel(const __grid_constant__ Parts<T> call) {
  const auto& p = call.p;
  for_each_number(call.split.numbers, [&](int64_t k) {
    float sum = 0;
    for (int64_t part = 0; part < call.split.parts; ++part)
      sum += call.sums[part * call.split.numbers + k];
    const int64_t weights = p.shape.weight_elems();
    float* out = k < weights ? p.d_weight + k : p.d_bias + (k - weights);
    *out = (k < weights ? p.accumulates_weight : p.accumulates_bias) ? *out + sum : sum;
  });
}

template <class P>
Launch numbers(void (*kernel)(P), const P& call, int64_t n, const Device& device) {
  const int64_t blocks = choose_flat_blocks(n, device);
  return [=](void* stream) { launch_flat(kernel, blocks, stream, call); };
}

template <class T>
Launch prepare_weight(const Conv2dWeightGrad<T>& p, const Device& device, void* scratch) {
  const Parts<T> call{p, conv2d_grad_parts(p.shape, p.d_bias != nullptr),
                      static_cast<float*>(scratch)};
  const int64_t blocks = choose_flat_blocks(call.split.parts * call.split.numbers, device);
  const int64_t last = choose_flat_blocks(call.split.numbers, device);
  return [=](void* stream) {
    launch_flat(conv2d_weight_grad_kernel<T>, blocks, stream, call);
    launch_flat(conv2d_finish_kernel<T>, last, stream, call);
  };
}

}  // namespace

Launch prepare(const Conv2dForward<float>& p, const Device& device, void*) {
  return numbers(conv2d_forward_kernel<float>, p, conv2d_output(p.shape).elems(), device);
}
Launch prepare(const Conv2dForward<Bf16>& p, const Device& device, void*) {
  return numbers(conv2d_forward_kernel<Bf16>, p, conv2d_output(p.shape).elems(), device);
}
Launch prepare(const Conv2dDataGrad<float>& p, const Device& device, void*) {
  return numbers(conv2d_data_grad_kernel<float>, p, conv2d_input(p.shape).elems(), device);
}
Launch prepare(const Conv2dDataGrad<Bf16>& p, const Device& device, void*) {
  return numbers(conv2d_data_grad_kernel<Bf16>, p, conv2d_input(p.shape).elems(), device);
}
Launch prepare(const Conv2dWeightGrad<float>& p, const Device& device, void* scratch) {
  return prepare_weight(p, device, scratch);
}
Launch prepare(const Conv2dWeightGrad<Bf16>& p, const Device& device, void* scratch) {
  return prepare_weight(p, device, scratch);
}

}  // namespace diabolo::kernels::cuda
