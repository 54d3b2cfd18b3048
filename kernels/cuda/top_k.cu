// The k largest numbers of each row, and the gradient.
//
// Computes    y = x for the k first of a row in the order of kernels/top_k.h, else 0; last, the
//             column of the k-th; dx = dy for what was kept, else 0
// Shapes      x, y, dy, dx [B,D] T; last [B] u32
// Work split  a row: one block. The key of the k-th is found bit by bit, its column among equal
//             keys by halves: each round counts over the row. Gradient: a grid-stride loop over
//             quads of columns, choose_flat_blocks
// Traffic     B D sizeof(T) from memory, at most 33 + log2 D times that from cache, and as much
//             to memory; gradient 3 B D sizeof(T)
// Numerics    no arithmetic on the numbers; counts are exact in f32 below 2^24
// Limits      1 <= k <= D <= 2^24, B < 2^31
// Source      kernels/top_k.h
#include "kernels/top_k.h"

#include "kernels/cuda/flat.cuh"

namespace diabolo::kernels::cuda {
namespace {

// How many columns of a row of this block are such, in every thread.
template <class F>
GPU_VERB int64_t count_columns(int64_t D, float* warp_sums, F&& is_such) {
  float count = 0;
  for (int64_t d = threadIdx.x; d < D; d += kFlatThreads) count += is_such(d) ? 1.0f : 0.0f;
  return static_cast<int64_t>(gpu::block_sum<kFlatThreads>(count, warp_sums));
}

template <class T>
__global__ void __launch_bounds__(kFlatThreads) top_k_kernel(const __grid_constant__ TopK<T> p) {
  GPU_SHARED(float, warp_sums, kFlatThreads / 32);
  const int64_t row = blockIdx.x;
  const T* x = p.x + row * p.D;
  const auto key_at = [&](int64_t d) { return key_of(widen(x[d])); };
  uint32_t key = 0;
  for (uint32_t bit = 0x80000000u; bit != 0; bit >>= 1) {
    const uint32_t tried = key | bit;
    if (count_columns(p.D, warp_sums, [&](int64_t d) { return key_at(d) >= tried; }) >= p.k)
      key = tried;
  }
  const int64_t larger = count_columns(p.D, warp_sums, [&](int64_t d) { return key_at(d) > key; });
  int64_t low = 0, high = p.D - 1;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    const int64_t equal =
        count_columns(p.D, warp_sums, [&](int64_t d) { return d <= middle && key_at(d) == key; });
    if (larger + equal >= p.k)
      high = middle;
    else
      low = middle + 1;
  }
  if (threadIdx.x == 0) p.last[row] = static_cast<uint32_t>(low);
  const T zero = narrow<T>(0.0f);
  for (int64_t d = threadIdx.x; d < p.D; d += kFlatThreads) {
    const uint32_t here = key_at(d);
    p.y[row * p.D + d] = here > key || (here == key && d <= low) ? x[d] : zero;
  }
}

template <class T>
__global__ void __launch_bounds__(kFlatThreads)
    top_k_grad_kernel(const __grid_constant__ WithVector<TopKGrad<T>> call) {
  const auto& p = call.p;
  for_each_row_quad(p.B, p.D, [&](int64_t row, int64_t column, int count) {
    const bool is_vector = call.is_vector && count == 4;
    const int64_t at = row * p.D + column;
    const int64_t last = p.last[row];
    const uint32_t key = key_of(widen(p.x[row * p.D + last]));
    const gpu::Quad x = gpu::load_quad(p.x + at, count, is_vector);
    gpu::Quad d = gpu::load_quad(p.dy + at, count, is_vector);
    for (int i = 0; i < 4; ++i) {
      const uint32_t here = key_of(x.v[i]);
      const bool is_kept = here > key || (here == key && column + i <= last);
      d.v[i] = is_kept ? d.v[i] : 0.0f;
    }
    gpu::store_quad(p.dx + at, d, count, is_vector);
  });
}

template <class T>
Launch prepare_value(const TopK<T>& p) {
  return [=](void* stream) { launch_flat(top_k_kernel<T>, p.B, stream, p); };
}

template <class T>
Launch prepare_grad(const TopKGrad<T>& p, const Device& device) {
  const bool is_vector = gpu::has_vector_rows(p.x, p.D) && gpu::has_vector_rows(p.dy, p.D) &&
                         gpu::has_vector_rows(p.dx, p.D);
  return row_quads(top_k_grad_kernel<T>, p, is_vector, device);
}

}  // namespace

Launch prepare(const TopK<float>& p, const Device&, void*) {
  return prepare_value(p);
}
Launch prepare(const TopK<Bf16>& p, const Device&, void*) {
  return prepare_value(p);
}
Launch prepare(const TopKGrad<float>& p, const Device& device, void*) {
  return prepare_grad(p, device);
}
Launch prepare(const TopKGrad<Bf16>& p, const Device& device, void*) {
  return prepare_grad(p, device);
}

}  // namespace diabolo::kernels::cuda
