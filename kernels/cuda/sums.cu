// Ordered sums: the second pass of every loss, the global norm, the L2 penalty, the sum of loss
// terms.
//
// Computes    norm = sqrt(sum g^2); loss = lambda sum w^2; total = sum of terms
// Shapes      g, w [n] f32; results [1]
// Work split  choose_flat_sum: one block per part of the array, its partial sum to scratch; then
//             one block adds the partials
// Traffic     4 n bytes in; 2 n flops: memory
// Numerics    float sums in an order fixed by n alone; g^2 overflows above 1.8e19, which makes the
//             norm infinite and the step void
// Limits      n >= 1
// Source      kernels/optimizer.h, kernels/penalty.h
#include "kernels/cuda/flat.cuh"
#include "kernels/optimizer.h"
#include "kernels/penalty.h"

namespace diabolo::kernels::cuda {
namespace {

__global__ void __launch_bounds__(kFlatThreads)
    finish_sum_kernel(const __grid_constant__ FinishSum p) {
  GPU_SHARED(float, warp_sums, kFlatThreads / 32);
  float sum = 0;
  for (int64_t i = threadIdx.x; i < p.count; i += kFlatThreads) sum += p.partials[i];
  sum = gpu::block_sum<kFlatThreads>(sum, warp_sums);
  if (threadIdx.x == 0) *p.out = p.after == AfterSum::kRoot ? sqrt_of(sum) : sum * p.scale;
}

struct SquareSum {
  const float* x;
  int64_t n;
  int64_t elems_per_block;
  bool is_vector;
  float* partials;
};

__global__ void __launch_bounds__(kFlatThreads)
    square_sum_kernel(const __grid_constant__ SquareSum p) {
  const float sum = sum_of_part(p.n, p.elems_per_block, [&](int64_t at, int count) {
    const gpu::Quad x = gpu::load_quad(p.x + at, count, p.is_vector && count == 4);
    return (x.v[0] * x.v[0] + x.v[1] * x.v[1]) + (x.v[2] * x.v[2] + x.v[3] * x.v[3]);
  });
  if (threadIdx.x == 0) p.partials[blockIdx.x] = sum;
}

Launch square_sum(const float* x, int64_t n, FinishSum finish, void* scratch) {
  const FlatSum split = choose_flat_sum(n);
  auto* partials = static_cast<float*>(scratch);
  const SquareSum sum{x, n, split.elems_per_block, gpu::has_vector_rows(x, 4), partials};
  finish.partials = partials;
  finish.count = split.blocks;
  return [=](void* stream) {
    launch_flat(square_sum_kernel, finish.count, stream, sum);
    launch_finish_sum(finish, stream);
  };
}

__global__ void sum_terms_kernel(const __grid_constant__ SumTerms<float> p) {
  if (threadIdx.x != 0) return;
  float sum = 0;
  for (int i = 0; i < p.count; ++i) sum += *p.terms[i];
  *p.total = sum;
}

}  // namespace

void launch_finish_sum(const FinishSum& call, void* stream) {
  launch_flat(finish_sum_kernel, 1, stream, call);
}

Launch prepare(const GlobalNorm<float>& p, const Device&, void* scratch) {
  return square_sum(p.grad, p.n, {nullptr, 0, 1, AfterSum::kRoot, p.norm}, scratch);
}

Launch prepare(const L2Penalty<float>& p, const Device&, void* scratch) {
  return square_sum(p.weight, p.n, {nullptr, 0, p.lambda, AfterSum::kScale, p.loss}, scratch);
}

Launch prepare(const SumTerms<float>& p, const Device&, void*) {
  return [=](void* stream) { gpu::launch(sum_terms_kernel, {1}, {32}, 0, stream, p); };
}

}  // namespace diabolo::kernels::cuda
