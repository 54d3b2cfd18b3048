#include "cuda_native/math_kernels.h"

#include "kernels/common/math.h"
#include "kernels/common/philox.h"
#include "kernels/cuda/device/launch.cuh"

namespace diabolo::math_kernels {

namespace {

constexpr unsigned kThreads = 256;

__device__ float value_of(Function function, float x) {
  switch (function) {
    case Function::kExp:
      return kernels::exp_of(x);
    case Function::kLog1p:
      return kernels::log1p_of(x);
    case Function::kTanh:
      return kernels::tanh_of(x);
    default:
      return kernels::erf_of(x);
  }
}

__global__ void values_kernel(const __grid_constant__ Values p) {
  const int i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i < p.count) p.out[i] = value_of(p.function, p.in[i]);
}

__global__ void normals_kernel(const __grid_constant__ Normals p) {
  const int i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i >= p.count) return;
  for (int lane = 0; lane < 2; ++lane)
    p.out[2 * i + lane] = kernels::normal_from(p.radius[i], p.angle[i], lane);
}

unsigned blocks_of(int count) {
  return (static_cast<unsigned>(count) + kThreads - 1) / kThreads;
}

}  // namespace

void launch(const Values& values, void* stream) {
  kernels::gpu::launch(values_kernel, {blocks_of(values.count)}, {kThreads}, 0, stream, values);
}

void launch(const Normals& normals, void* stream) {
  kernels::gpu::launch(normals_kernel, {blocks_of(normals.count)}, {kThreads}, 0, stream, normals);
}

}  // namespace diabolo::math_kernels
