// Barriers of a block and of a warp.
#pragma once

#include "kernels/cuda/device/platform.cuh"

namespace diabolo::kernels::gpu {

#if defined(DIABOLO_CUDA_HOST)

GPU_VERB void sync_block(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  ::cuda_host::barrier_block(file, line);
}
GPU_VERB void sync_warp(unsigned mask = kFullWarp) {
  ::cuda_host::barrier_warp(mask);
}

#else

GPU_VERB void sync_block() {
  __syncthreads();
}
GPU_VERB void sync_warp(unsigned mask = kFullWarp) {
  __syncwarp(mask);
}

#endif

// Blocks of these kernels are one-dimensional.
GPU_VERB unsigned lane_id() {
  return threadIdx.x % kWarp;
}
GPU_VERB unsigned warp_id() {
  return threadIdx.x / kWarp;
}

}  // namespace diabolo::kernels::gpu
