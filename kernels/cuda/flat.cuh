// Element-wise kernels over flat arrays, and sums over them in two ordered passes.
#pragma once

#include "kernels/cuda/choose.h"
#include "kernels/cuda/device/block.cuh"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/device/quad.cuh"

namespace diabolo::kernels::cuda {

// Calls f(first element, count) for the quads of [0, n) that fall to this thread: a grid-stride
// loop.
template <class F>
GPU_VERB void for_each_flat_quad(int64_t n, F&& f) {
  const int64_t quads = ceil_div(n, 4);
  const int64_t stride = int64_t{gridDim.x} * kFlatThreads;
  for (int64_t q = int64_t{blockIdx.x} * kFlatThreads + threadIdx.x; q < quads; q += stride) {
    const int64_t left = n - 4 * q;
    f(4 * q, left < 4 ? static_cast<int>(left) : 4);
  }
}

// Calls f(row, first column, count) for the quads of a [B,D] matrix: quads do not cross rows.
template <class F>
GPU_VERB void for_each_row_quad(int64_t B, int64_t D, F&& f) {
  const int64_t row_quads = ceil_div(D, 4);
  const int64_t quads = B * row_quads;
  const int64_t stride = int64_t{gridDim.x} * kFlatThreads;
  for (int64_t q = int64_t{blockIdx.x} * kFlatThreads + threadIdx.x; q < quads; q += stride) {
    const int64_t column = q % row_quads * 4;
    const int64_t left = D - column;
    f(q / row_quads, column, left < 4 ? static_cast<int>(left) : 4);
  }
}

// The sum over this block's part of [0, n) of what f(first element, count) returns. Every thread
// adds its quads in ascending order, block_sum the threads; all get the sum.
template <class F>
GPU_VERB float sum_of_part(int64_t n, int64_t elems_per_block, F&& f) {
  GPU_SHARED(float, warp_sums, kFlatThreads / 32);
  const int64_t begin = blockIdx.x * elems_per_block;
  const int64_t end = begin + elems_per_block < n ? begin + elems_per_block : n;
  float sum = 0;
  for (int64_t at = begin + 4 * int64_t{threadIdx.x}; at < end; at += 4 * kFlatThreads) {
    sum += f(at, end - at < 4 ? static_cast<int>(end - at) : 4);
  }
  return gpu::block_sum<kFlatThreads>(sum, warp_sums);
}

// out = f(sum of partials [count], in ascending order per thread, then over the block); one block.
enum class AfterSum { kScale, kRoot };
struct FinishSum {
  const float* partials;
  int64_t count;
  float scale;
  AfterSum after;
  float* out;
};
void launch_finish_sum(const FinishSum& call, void* stream);

template <class Params>
void launch_flat(void (*kernel)(Params), int64_t blocks, void* stream, const Params& params) {
  gpu::launch(kernel, {static_cast<unsigned>(blocks)}, {kFlatThreads}, 0, stream, params);
}

// A record, and whether every quad of its tensors can be one access.
template <class P>
struct WithVector {
  P p;
  bool is_vector;
};

// For for_each_flat_quad: a flat array is one row of a multiple of four elements, and a tail.
template <class... T>
bool all_aligned(const T*... data) {
  return (gpu::has_vector_rows(data, 4) && ...);
}

// The launch of a kernel that runs for_each_flat_quad(p.n).
template <class P>
Launch flat_quads(void (*kernel)(WithVector<P>), const P& p, bool is_vector, const Device& device) {
  const WithVector<P> call{p, is_vector};
  const int64_t blocks = choose_flat_blocks(ceil_div(p.n, 4), device);
  return [=](void* stream) { launch_flat(kernel, blocks, stream, call); };
}

// The same for for_each_row_quad(p.B, p.D).
template <class P>
Launch row_quads(void (*kernel)(WithVector<P>), const P& p, bool is_vector, const Device& device) {
  const WithVector<P> call{p, is_vector};
  const int64_t blocks = choose_flat_blocks(p.B * ceil_div(p.D, 4), device);
  return [=](void* stream) { launch_flat(kernel, blocks, stream, call); };
}

}  // namespace diabolo::kernels::cuda
