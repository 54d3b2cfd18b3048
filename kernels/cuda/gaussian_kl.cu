// The divergence of Gaussians from the standard normal, and its gradient.
//
// Computes    kl = scale sum 1/2 (mean^2 + v - 1 - log v); d_mean = g scale mean,
//             d_log_variance = g scale 1/2 (v - 1), 0 where log v was clamped
// Shapes      mean, log_variance and their gradients [n] T; kl, g [1] f32
// Work split  choose_flat_sum: one block per part of the array, its partial sum to scratch, then
//             one block adds the partials; the gradient: a grid-stride loop over quads,
//             choose_flat_blocks
// Traffic     2 n T in; the gradient: the same in and out: memory
// Numerics    float sums in an order fixed by n alone; CUDA's expf; one rounding to T
// Limits      n >= 1; bases that are not aligned to a quad are taken element by element
// Source      kernels/gaussian_kl.h
#include "kernels/gaussian_kl.h"

#include "kernels/cuda/flat.cuh"

namespace diabolo::kernels::cuda {
namespace {

template <class T>
struct GaussianKlPart {
  GaussianKl<T> p;
  int64_t elems_per_block;
  bool is_vector;
  float* partials;
};

template <class T>
__global__ void __launch_bounds__(kFlatThreads)
    gaussian_kl_kernel(const __grid_constant__ GaussianKlPart<T> call) {
  const auto& p = call.p;
  const float sum = sum_of_part(p.n, call.elems_per_block, [&](int64_t at, int count) {
    const bool is_vector = call.is_vector && count == 4;
    const gpu::Quad mean = gpu::load_quad(p.mean + at, count, is_vector);
    const gpu::Quad log_variance = gpu::load_quad(p.log_variance + at, count, is_vector);
    float of_quad = 0;
    for (int i = 0; i < 4; ++i) {
      const float kl = gaussian_kl_of(mean.v[i], log_variance.v[i], p.low, p.high);
      if (i < count) of_quad += kl;
    }
    return of_quad;
  });
  if (threadIdx.x == 0) call.partials[blockIdx.x] = sum;
}

template <class T>
__global__ void __launch_bounds__(kFlatThreads)
    gaussian_kl_grad_kernel(const __grid_constant__ WithVector<GaussianKlGrad<T>> call) {
  const auto& p = call.p;
  const float scale = *p.g * p.scale;
  for_each_flat_quad(p.n, [&](int64_t at, int count) {
    const bool is_vector = call.is_vector && count == 4;
    gpu::Quad mean = gpu::load_quad(p.mean + at, count, is_vector);
    gpu::Quad log_variance = gpu::load_quad(p.log_variance + at, count, is_vector);
    for (int i = 0; i < 4; ++i) {
      mean.v[i] *= scale;
      log_variance.v[i] = scale * gaussian_kl_slope(log_variance.v[i], p.low, p.high);
    }
    gpu::store_quad(p.d_mean + at, mean, count, is_vector);
    gpu::store_quad(p.d_log_variance + at, log_variance, count, is_vector);
  });
}

template <class T>
Launch prepare_value(const GaussianKl<T>& p, void* scratch) {
  const FlatSum split = choose_flat_sum(p.n);
  auto* partials = static_cast<float*>(scratch);
  const GaussianKlPart<T> call{p, split.elems_per_block, all_aligned(p.mean, p.log_variance),
                               partials};
  const FinishSum finish{partials, split.blocks, p.scale, AfterSum::kScale, p.kl};
  return [=](void* stream) {
    launch_flat(gaussian_kl_kernel<T>, finish.count, stream, call);
    launch_finish_sum(finish, stream);
  };
}

template <class T>
Launch prepare_grad(const GaussianKlGrad<T>& p, const Device& device) {
  const bool is_vector = all_aligned(p.mean, p.log_variance, p.d_mean, p.d_log_variance);
  return flat_quads(gaussian_kl_grad_kernel<T>, p, is_vector, device);
}

}  // namespace

Launch prepare(const GaussianKl<float>& p, const Device&, void* scratch) {
  return prepare_value(p, scratch);
}
Launch prepare(const GaussianKl<Bf16>& p, const Device&, void* scratch) {
  return prepare_value(p, scratch);
}
Launch prepare(const GaussianKlGrad<float>& p, const Device& device, void*) {
  return prepare_grad(p, device);
}
Launch prepare(const GaussianKlGrad<Bf16>& p, const Device& device, void*) {
  return prepare_grad(p, device);
}

}  // namespace diabolo::kernels::cuda
