// Dropout and corruption of a batch.
//
// Computes    what kernels/noise.h says; draws are Philox numbers named by row and column, four
//             neighbouring columns share one call
// Shapes      x and y [B,D], y may be x; the step's random key from the step state in memory
// Work split  a grid-stride loop over quads of columns, choose_flat_blocks
// Traffic     2 B D sizeof(T); about 40 integer multiplications a quad
// Numerics    the same integers as the host; Gaussian through the device's logf, sincosf
// Limits      B, D >= 1; below 2^34 columns
// Source      kernels/noise.h, kernels/common/philox.h
#include "kernels/cuda/flat.cuh"
#include "kernels/noise.h"

namespace diabolo::kernels::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(kFlatThreads)
    dropout_kernel(const __grid_constant__ WithVector<Dropout<T>> call) {
  const auto& p = call.p;
  const RandomKey key = random_key(*p.state, p.purpose);
  const float scale = 1.0f / (1.0f - p.rate);
  for_each_row_quad(p.B, p.D, [&](int64_t row, int64_t column, int count) {
    const bool is_vector = call.is_vector && count == 4;
    const int64_t at = row * p.D + column;
    const Philox4 draw =
        draw_quad(key, static_cast<uint32_t>(row), static_cast<uint32_t>(column >> 2));
    gpu::Quad x = gpu::load_quad(p.x + at, count, is_vector);
    for (int i = 0; i < 4; ++i)
      x.v[i] = uniform_from(draw.lane[i]) >= p.rate ? x.v[i] * scale : 0.0f;
    gpu::store_quad(p.y + at, x, count, is_vector);
  });
}

GPU_VERB float clamped(float value, float low, float high) {
  if (value < low) return low;
  return value > high ? high : value;
}

template <class T>
__global__ void __launch_bounds__(kFlatThreads)
    corrupt_kernel(const __grid_constant__ WithVector<Corrupt<T>> call) {
  const auto& p = call.p;
  const RandomKey key = random_key(*p.state, p.purpose);
  for_each_row_quad(p.B, p.D, [&](int64_t row, int64_t column, int count) {
    const bool is_vector = call.is_vector && count == 4;
    const int64_t at = row * p.D + column;
    const Philox4 draw =
        draw_quad(key, static_cast<uint32_t>(row), static_cast<uint32_t>(column >> 2));
    gpu::Quad x = gpu::load_quad(p.x + at, count, is_vector);
    for (int i = 0; i < 4; ++i) {
      if (p.kind == Corruption::kMasking) {
        if (uniform_from(draw.lane[i]) < p.amount) x.v[i] = 0;
      } else {
        const float normal = normal_from(draw.lane[i & 2], draw.lane[(i & 2) + 1], i & 1);
        x.v[i] = clamped(x.v[i] + p.amount * normal, p.low, p.high);
      }
    }
    gpu::store_quad(p.y + at, x, count, is_vector);
  });
}

template <class P>
Launch by_rows(void (*kernel)(WithVector<P>), const P& p, const Device& device) {
  return row_quads(kernel, p, gpu::has_vector_rows(p.x, p.D) && gpu::has_vector_rows(p.y, p.D),
                   device);
}

}  // namespace

Launch prepare(const Dropout<float>& p, const Device& device, void*) {
  return by_rows(dropout_kernel<float>, p, device);
}
Launch prepare(const Dropout<Bf16>& p, const Device& device, void*) {
  return by_rows(dropout_kernel<Bf16>, p, device);
}
Launch prepare(const Corrupt<float>& p, const Device& device, void*) {
  return by_rows(corrupt_kernel<float>, p, device);
}
Launch prepare(const Corrupt<Bf16>& p, const Device& device, void*) {
  return by_rows(corrupt_kernel<Bf16>, p, device);
}

}  // namespace diabolo::kernels::cuda
