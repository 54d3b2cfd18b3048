// Blocks of one launch that hand results on: each writes its own, arrives at a word in global
// memory, and whoever comes last reads them all. No block waits for another.
#pragma once

#include "kernels/cuda/device/sync.cuh"

namespace diabolo::kernels::gpu {

// Adds one to `count`, which goes from `last` back to 0, and returns what it was. What this thread
// wrote before, and what it knows of by barriers or by having arrived, is seen by every thread that
// arrives at this word later, and by those that a barrier then puts behind that one.
GPU_VERB std::uint32_t arrive(std::uint32_t* count, std::uint32_t last) {
#if defined(DIABOLO_CUDA_HOST)
  return ::cuda_host::arrive(count, last);
#else
  std::uint32_t before;
  asm volatile("atom.acq_rel.gpu.global.inc.u32 %0, [%1], %2;"
               : "=r"(before)
               : "l"(__cvta_generic_to_global(count)), "r"(last)
               : "memory");
  return before;
#endif
}

// True for all threads of the last of `blocks` blocks that call this with the same word: what they
// all wrote before is there then. The word is zero before and after. `told` is a word of shared
// memory that nobody else uses until the next barrier.
GPU_VERB bool comes_last(std::uint32_t* arrivals, std::uint32_t blocks, std::uint32_t* told) {
  sync_block();  // all of this block's writes come before its arrival
  if (threadIdx.x == 0) *told = arrive(arrivals, blocks - 1);
  sync_block();
  return *told == blocks - 1;
}

}  // namespace diabolo::kernels::gpu
