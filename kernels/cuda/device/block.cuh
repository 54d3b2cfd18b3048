// Sums over a block in a fixed order.
#pragma once

#include "kernels/cuda/device/sync.cuh"
#include "kernels/cuda/device/warp.cuh"

namespace diabolo::kernels::gpu {

// Sum of `value` over a block of kThreads threads: butterflies inside the warps, then the warps'
// sums in ascending order. Every thread gets the same bits. `warp_sums` is shared memory for
// kThreads / 32 floats; the block must be done with it before the call, and may use it at once
// afterwards.
template <int kThreads>
GPU_VERB float block_sum(float value, float* warp_sums) {
  static_assert(kThreads % kWarp == 0);
  constexpr unsigned kWarps = kThreads / kWarp;
  const float of_warp = warp_sum(value);
  if (lane_id() == 0) warp_sums[warp_id()] = of_warp;
  sync_block();
  float sum = 0;
  for (unsigned w = 0; w < kWarps; ++w) sum += warp_sums[w];
  sync_block();
  return sum;
}

}  // namespace diabolo::kernels::gpu
