#include "backend/small_kernels.h"

#include "kernels/cuda/device/launch.cuh"

namespace diabolo {
namespace {

struct Affine {
  float* values;
  int64_t count;
  float factor, offset;
};

__global__ void affine(Affine p) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < p.count) p.values[i] = p.values[i] * p.factor + p.offset;
}

constexpr unsigned kThreads = 64;

}  // namespace

void launch_affine(float* values, int64_t count, float factor, float offset, void* stream) {
  const auto blocks = static_cast<unsigned>((count + kThreads - 1) / kThreads);
  kernels::gpu::launch(affine, {blocks, 1, 1}, {kThreads, 1, 1}, 0, stream,
                       {values, count, factor, offset});
}

void launch_too_large(void* stream) {
  kernels::gpu::launch(affine, {1, 1, 1}, {4096, 1, 1}, 0, stream, {nullptr, 0, 0, 0});
}

}  // namespace diabolo
