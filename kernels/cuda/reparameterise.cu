// Draws from Gaussians and the gradient by their log variances.
//
// Computes    z = mean + s e, d_log_variance = 1/2 dz s e with s = exp(log_variance / 2); draws e
//             are Philox numbers named by row and column, four neighbouring columns share one call
// Shapes      all [B,D] T; the step's random key from the step state in memory
// Work split  a grid-stride loop over quads of columns, choose_flat_blocks
// Traffic     3 B D sizeof(T); about 40 integer multiplications a quad
// Numerics    the same integers as the host; CUDA's expf, logf, sincospif; one rounding to T
// Limits      B, D >= 1; below 2^34 columns
// Source      kernels/reparameterise.h, kernels/common/philox.h
#include "kernels/reparameterise.h"

#include "kernels/cuda/flat.cuh"

namespace diabolo::kernels::cuda {
namespace {

// The standard normals of four columns.
GPU_VERB gpu::Quad normal_quad(const RandomKey& key, int64_t row, int64_t column) {
  const Philox4 draw =
      draw_quad(key, static_cast<uint32_t>(row), static_cast<uint32_t>(column >> 2));
  gpu::Quad normal;
  for (int i = 0; i < 4; ++i)
    normal.v[i] = normal_from(draw.lane[i & 2], draw.lane[(i & 2) + 1], i & 1);
  return normal;
}

template <class T>
__global__ void __launch_bounds__(kFlatThreads)
    reparameterise_kernel(const __grid_constant__ WithVector<Reparameterise<T>> call) {
  const auto& p = call.p;
  const RandomKey key = random_key(*p.state, p.purpose);
  for_each_row_quad(p.B, p.D, [&](int64_t row, int64_t column, int count) {
    const bool is_vector = call.is_vector && count == 4;
    const int64_t at = row * p.D + column;
    const gpu::Quad normal = normal_quad(key, row, column);
    gpu::Quad z = gpu::load_quad(p.mean + at, count, is_vector);
    const gpu::Quad log_variance = gpu::load_quad(p.log_variance + at, count, is_vector);
    for (int i = 0; i < 4; ++i)
      z.v[i] += deviation_of(log_variance.v[i], p.low, p.high) * normal.v[i];
    gpu::store_quad(p.z + at, z, count, is_vector);
  });
}

template <class T>
__global__ void __launch_bounds__(kFlatThreads)
    reparameterise_grad_kernel(const __grid_constant__ WithVector<ReparameteriseGrad<T>> call) {
  const auto& p = call.p;
  const RandomKey key = random_key(*p.state, p.purpose);
  for_each_row_quad(p.B, p.D, [&](int64_t row, int64_t column, int count) {
    const bool is_vector = call.is_vector && count == 4;
    const int64_t at = row * p.D + column;
    const gpu::Quad normal = normal_quad(key, row, column);
    const gpu::Quad log_variance = gpu::load_quad(p.log_variance + at, count, is_vector);
    gpu::Quad d = gpu::load_quad(p.dz + at, count, is_vector);
    for (int i = 0; i < 4; ++i)
      d.v[i] = d.v[i] * normal.v[i] * deviation_slope(log_variance.v[i], p.low, p.high);
    gpu::store_quad(p.d_log_variance + at, d, count, is_vector);
  });
}

template <class T>
Launch prepare_value(const Reparameterise<T>& p, const Device& device) {
  const bool is_vector = gpu::has_vector_rows(p.mean, p.D) &&
                         gpu::has_vector_rows(p.log_variance, p.D) &&
                         gpu::has_vector_rows(p.z, p.D);
  return row_quads(reparameterise_kernel<T>, p, is_vector, device);
}

template <class T>
Launch prepare_grad(const ReparameteriseGrad<T>& p, const Device& device) {
  const bool is_vector = gpu::has_vector_rows(p.log_variance, p.D) &&
                         gpu::has_vector_rows(p.dz, p.D) &&
                         gpu::has_vector_rows(p.d_log_variance, p.D);
  return row_quads(reparameterise_grad_kernel<T>, p, is_vector, device);
}

}  // namespace

Launch prepare(const Reparameterise<float>& p, const Device& device, void*) {
  return prepare_value(p, device);
}
Launch prepare(const Reparameterise<Bf16>& p, const Device& device, void*) {
  return prepare_value(p, device);
}
Launch prepare(const ReparameteriseGrad<float>& p, const Device& device, void*) {
  return prepare_grad(p, device);
}
Launch prepare(const ReparameteriseGrad<Bf16>& p, const Device& device, void*) {
  return prepare_grad(p, device);
}

}  // namespace diabolo::kernels::cuda
