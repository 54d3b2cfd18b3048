#include "kernels/cuda/device/launch.cuh"
#include "train/stateful_part_math.h"

namespace diabolo {
namespace {

__global__ void running_mean_kernel(RunningMean p) {
  const int64_t column = threadIdx.x;
  if (column < p.width) running_mean_column(p, column);
}

__global__ void centre_kernel(Centre p) {
  const int64_t column = threadIdx.x;
  if (column < p.width) centre_column(p, column);
}

}  // namespace

void launch(const RunningMean& p, void* stream) {
  kernels::gpu::launch(running_mean_kernel, {1, 1, 1}, {32, 1, 1}, 0, stream, p);
}

void launch(const Centre& p, void* stream) {
  kernels::gpu::launch(centre_kernel, {1, 1, 1}, {32, 1, 1}, 0, stream, p);
}

}  // namespace diabolo
