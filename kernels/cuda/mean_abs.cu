// The mean of absolute values and its gradient.
//
// Computes    mean = 1/n sum |x|; dx = g/n sign(x)
// Shapes      x, dx [n] T; mean, g [1] f32; dx may be x
// Work split  choose_flat_sum: one block per part of the array, its partial sum to scratch, then
//             one block adds the partials; the gradient: a grid-stride loop over quads,
//             choose_flat_blocks
// Traffic     n T in; the gradient: the same in and out: memory
// Numerics    float sums in an order fixed by n alone; one rounding to T
// Limits      n >= 1; bases that are not aligned to a quad are taken element by element
// Source      kernels/mean_abs.h
#include "kernels/mean_abs.h"

#include "kernels/cuda/flat.cuh"

namespace diabolo::kernels::cuda {
namespace {

template <class T>
struct MeanAbsPart {
  MeanAbs<T> p;
  int64_t elems_per_block;
  bool is_vector;
  float* partials;
};

template <class T>
__global__ void __launch_bounds__(kFlatThreads)
    mean_abs_kernel(const __grid_constant__ MeanAbsPart<T> call) {
  const float sum = sum_of_part(call.p.n, call.elems_per_block, [&](int64_t at, int count) {
    const gpu::Quad x = gpu::load_quad(call.p.x + at, count, call.is_vector && count == 4);
    return (abs_of(x.v[0]) + abs_of(x.v[1])) + (abs_of(x.v[2]) + abs_of(x.v[3]));
  });
  if (threadIdx.x == 0) call.partials[blockIdx.x] = sum;
}

template <class T>
__global__ void __launch_bounds__(kFlatThreads)
    mean_abs_grad_kernel(const __grid_constant__ WithVector<MeanAbsGrad<T>> call) {
  const auto& p = call.p;
  const float scale = *p.g * (1.0f / static_cast<float>(p.n));
  for_each_flat_quad(p.n, [&](int64_t at, int count) {
    const bool is_vector = call.is_vector && count == 4;
    gpu::Quad x = gpu::load_quad(p.x + at, count, is_vector);
    for (int i = 0; i < 4; ++i) x.v[i] = L1Loss::of(x.v[i]).d_z * scale;
    gpu::store_quad(p.dx + at, x, count, is_vector);
  });
}

template <class T>
Launch prepare_mean(const MeanAbs<T>& p, void* scratch) {
  const FlatSum split = choose_flat_sum(p.n);
  auto* partials = static_cast<float*>(scratch);
  const MeanAbsPart<T> call{p, split.elems_per_block, all_aligned(p.x), partials};
  const FinishSum finish{partials, split.blocks, share_of<float>(p.n), AfterSum::kScale, p.mean};
  return [=](void* stream) {
    launch_flat(mean_abs_kernel<T>, finish.count, stream, call);
    launch_finish_sum(finish, stream);
  };
}

}  // namespace

Launch prepare(const MeanAbs<float>& p, const Device&, void* scratch) {
  return prepare_mean(p, scratch);
}
Launch prepare(const MeanAbs<Bf16>& p, const Device&, void* scratch) {
  return prepare_mean(p, scratch);
}
Launch prepare(const MeanAbsGrad<float>& p, const Device& device, void*) {
  return flat_quads(mean_abs_grad_kernel<float>, p, all_aligned(p.x, p.dx), device);
}
Launch prepare(const MeanAbsGrad<Bf16>& p, const Device& device, void*) {
  return flat_quads(mean_abs_grad_kernel<Bf16>, p, all_aligned(p.x, p.dx), device);
}

}  // namespace diabolo::kernels::cuda
