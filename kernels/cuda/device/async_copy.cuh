// cp.async: global to shared memory without registers, in groups that are waited for.
#pragma once

#include "kernels/cuda/device/platform.cuh"

namespace diabolo::kernels::gpu {

// Copies `valid_bytes` (0 ... kBytes) and fills the rest with zeros; nothing is read at `src` when
// valid_bytes is 0. Both addresses must be multiples of kBytes. The destination must not be touched
// between this and the wait for its group; other threads see it after a barrier that follows the
// wait.
template <int kBytes>
GPU_VERB void cp_async(void* shared_dst, const void* src, int valid_bytes = kBytes) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
#if defined(DIABOLO_CUDA_HOST)
  ::cuda_host::copy_async(shared_dst, src, kBytes, valid_bytes);
#else
  const auto dst = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared_dst));
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(dst), "l"(src),
                 "r"(valid_bytes)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(dst), "l"(src), "n"(kBytes),
                 "r"(valid_bytes)
                 : "memory");
  }
#endif
}

// Closes the group of copies issued since the last commit (it may be empty).
GPU_VERB void cp_async_commit() {
#if defined(DIABOLO_CUDA_HOST)
  ::cuda_host::copy_async_commit();
#else
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until at most kPending of this thread's newest groups are in flight.
template <int kPending>
GPU_VERB void cp_async_wait() {
#if defined(DIABOLO_CUDA_HOST)
  ::cuda_host::copy_async_wait(kPending);
#else
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
#endif
}

}  // namespace diabolo::kernels::gpu
