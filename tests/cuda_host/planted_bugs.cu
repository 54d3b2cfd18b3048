// Kernels of planted_bugs.h.
#include "cuda_host/planted_bugs.h"

#include "kernels/cuda/device/arrive.cuh"
#include "kernels/cuda/device/async_copy.cuh"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/device/sync.cuh"
#include "kernels/cuda/device/warp.cuh"

namespace diabolo::planted {

namespace gpu = kernels::gpu;

namespace {

// Named as the budget names the hungriest product, which may have 255 registers.
template <int kTile>
struct FfmaLoop {};
template <class Loop>
__global__ void tile_product_kernel(const Call p) {
  const unsigned t = threadIdx.x;
  if (t < kThreads) p.out[t] = p.in[kThreads - 1 - t];
}

__global__ void none_kernel(const Call p) {
  GPU_SHARED(float, tile, kThreads);
  const unsigned t = threadIdx.x;
  gpu::cp_async<4>(tile + t, p.in + t);
  gpu::cp_async_commit();
  gpu::cp_async_wait<0>();
  gpu::sync_block();
  const float x = tile[kThreads - 1 - t];
  gpu::sync_block();
  tile[t] = x;
  gpu::sync_warp();
  const float neighbour = tile[t ^ 1];
  p.out[t] = gpu::shuffle_xor(gpu::kFullWarp, neighbour, 1);
}

__global__ void global_read_kernel(const Call p) {
  p.out[threadIdx.x] = p.in[kThreads - threadIdx.x];
}

__global__ void misaligned_kernel(const Call p) {
  const auto word = gpu::load<16>(p.in + threadIdx.x % (kThreads - 4));
  p.out[threadIdx.x] = static_cast<float>(word.word[0]);
}

__global__ void overrun_kernel(const Call p) {
  GPU_SHARED(float, tile, kThreads);
  tile[threadIdx.x + 1] = p.in[threadIdx.x];
  gpu::sync_block();
  p.out[threadIdx.x] = tile[kThreads - threadIdx.x];
}

__global__ void uninitialised_kernel(const Call p) {
  GPU_SHARED(float, tile, kThreads);
  if (threadIdx.x != 3) tile[threadIdx.x] = p.in[threadIdx.x];
  gpu::sync_block();
  p.out[threadIdx.x] = tile[kThreads - 1 - threadIdx.x];
}

__global__ void no_barrier_kernel(const Call p) {
  GPU_SHARED(float, tile, kThreads);
  tile[threadIdx.x] = p.in[threadIdx.x];
  p.out[threadIdx.x] = tile[kThreads - 1 - threadIdx.x];
}

__global__ void reuse_kernel(const Call p) {
  GPU_SHARED(float, tile, kThreads);
  const unsigned t = threadIdx.x;
  tile[t] = 0;
  gpu::sync_block();
  const float zero = tile[kThreads - 1 - t];
  tile[t] = p.in[t] + zero;  // another thread may not have read its zero yet
  gpu::sync_block();
  p.out[t] = tile[kThreads - 1 - t];
}

__global__ void no_warp_barrier_kernel(const Call p) {
  GPU_SHARED(float, tile, kThreads);
  const unsigned t = threadIdx.x;
  tile[t] = p.in[kThreads - 1 - t];
  const float neighbour = tile[t ^ 1];
  p.out[t] = gpu::shuffle_xor(gpu::kFullWarp, neighbour, 1);
}

__global__ void one_branch_kernel(const Call p) {
  if (threadIdx.x < 32) gpu::sync_block();
  p.out[threadIdx.x] = p.in[kThreads - 1 - threadIdx.x];
}

__global__ void two_barriers_kernel(const Call p) {
  if (threadIdx.x < 32) {
    gpu::sync_block();
  } else {
    gpu::sync_block();
  }
  p.out[threadIdx.x] = p.in[kThreads - 1 - threadIdx.x];
}

__global__ void without_caller_kernel(const Call p) {
  const float x = p.in[kThreads - 1 - threadIdx.x];
  p.out[threadIdx.x] = gpu::shuffle(0x7FFFFFFFU, x, gpu::lane_id());
}

__global__ void absent_lanes_kernel(const Call p) {
  float x = p.in[kThreads - 1 - threadIdx.x];
  if (threadIdx.x % 32 < 16) x = gpu::shuffle(gpu::kFullWarp, x, gpu::lane_id());
  p.out[threadIdx.x] = x;
}

__global__ void different_masks_kernel(const Call p) {
  const float x = p.in[kThreads - 1 - threadIdx.x];
  const unsigned mask = gpu::lane_id() == 0 ? 0x3U : (gpu::lane_id() == 1 ? 0x7U : gpu::kFullWarp);
  p.out[threadIdx.x] = gpu::shuffle(mask, x, gpu::lane_id());
}

__global__ void outside_mask_kernel(const Call p) {
  float x = p.in[kThreads - 1 - threadIdx.x];
  if (gpu::lane_id() < 16) x = gpu::shuffle(0xFFFFU, x, gpu::lane_id() + 1);
  p.out[threadIdx.x] = x;
}

template <int kBytes>
__global__ void before_wait_kernel(const Call p) {
  constexpr unsigned kFloats = kBytes / 4;
  GPU_SHARED(float, tile, kThreads);
  const unsigned t = threadIdx.x;
  if (t < kThreads / kFloats) gpu::cp_async<kBytes>(tile + t * kFloats, p.in + t * kFloats);
  gpu::cp_async_commit();
  gpu::sync_block();
  p.out[t] = tile[kThreads - 1 - t];
  gpu::cp_async_wait<0>();
}

__global__ void no_barrier_after_wait_kernel(const Call p) {
  GPU_SHARED(float, tile, kThreads);
  const unsigned t = threadIdx.x;
  gpu::cp_async<4>(tile + t, p.in + t);
  gpu::cp_async_commit();
  gpu::cp_async_wait<0>();
  p.out[t] = tile[kThreads - 1 - t];
}

__global__ void never_waited_kernel(const Call p) {
  GPU_SHARED(float, tile, kThreads);
  gpu::cp_async<4>(tile + threadIdx.x, p.in + threadIdx.x);
  gpu::cp_async_commit();
  p.out[threadIdx.x] = p.in[kThreads - 1 - threadIdx.x];
}

__global__ void misaligned_copy_kernel(const Call p) {
  GPU_SHARED(float, tile, kThreads);
  if (threadIdx.x < kThreads / 2)
    gpu::cp_async<8>(tile + 2 * threadIdx.x, p.in + 2 * threadIdx.x + 1);
  gpu::cp_async_commit();
  gpu::cp_async_wait<0>();
}

__global__ void two_blocks_kernel(const Call p) {
  p.out[threadIdx.x] = p.in[kThreads - 1 - threadIdx.x];
}

enum class LeftOut { kNothing, kBarrierBefore, kBarrierAfter, kArrival };

// Threads of a half: each copies two elements, so that another thread's reach the one that arrives.
template <LeftOut kLeftOut>
__global__ void last_block_kernel(const Call p) {
  GPU_SHARED(std::uint32_t, told, 1);
  constexpr unsigned kHalf = kThreads / 2;
  const unsigned t = threadIdx.x;
  if (t < kHalf) {
    const unsigned at = blockIdx.x * kHalf + (kHalf - 1 - t);
    p.halves[at] = p.in[at];
  }
  bool is_last = false;
  if (kLeftOut == LeftOut::kArrival) {
    is_last = blockIdx.x == 1;
  } else if (kLeftOut == LeftOut::kNothing) {
    is_last = gpu::comes_last(p.arrivals, 2, told);
  } else {
    if (kLeftOut != LeftOut::kBarrierBefore) gpu::sync_block();
    if (t == 0) *told = gpu::arrive(p.arrivals, 1);
    if (kLeftOut != LeftOut::kBarrierAfter) gpu::sync_block();
    is_last = kLeftOut == LeftOut::kBarrierAfter ? *p.arrivals == 0 : *told == 1;
  }
  if (is_last) p.out[t] = p.halves[kThreads - 1 - t];
}

template <bool kArrivesFirst>
__global__ void moving_on_kernel(const Call p) {
  GPU_SHARED(std::uint32_t, told, 1);
  constexpr unsigned kHalf = kThreads / 2;
  bool is_last = false;
  if (kArrivesFirst) is_last = gpu::comes_last(p.arrivals, 2, told);
  if (threadIdx.x < kHalf) {
    const unsigned at = blockIdx.x * kHalf + threadIdx.x;
    p.out[at] = p.in[kThreads - 1 - at] + p.halves[0];
  }
  if (!kArrivesFirst) is_last = gpu::comes_last(p.arrivals, 2, told);
  gpu::sync_block();  // in its own block all have read
  if (is_last && threadIdx.x == 0) p.halves[0] = 1;
}

__global__ void big_shared_kernel(const Call p) {
  GPU_SHARED(float, tile, kThreads);
  GPU_DYN_SHARED(float, rest);
  tile[threadIdx.x] = p.in[threadIdx.x];
  rest[threadIdx.x] = tile[threadIdx.x];
  gpu::sync_block();
  p.out[threadIdx.x] = rest[kThreads - 1 - threadIdx.x];
}

void run(void (*kernel)(Call), const Call& call, gpu::Dim3 grid = {1}, gpu::Dim3 block = {kThreads},
         std::size_t shared_bytes = 0) {
  gpu::launch(kernel, grid, block, shared_bytes, nullptr, call);
}

}  // namespace

void none(const Call& call) {
  run(none_kernel, call);
}
void global_read_past_the_end(const Call& call) {
  run(global_read_kernel, call);
}
void misaligned_vector_load(const Call& call) {
  run(misaligned_kernel, call);
}
void shared_overrun(const Call& call) {
  run(overrun_kernel, call);
}
void uninitialised_shared(const Call& call) {
  run(uninitialised_kernel, call);
}
void missing_block_barrier(const Call& call) {
  run(no_barrier_kernel, call);
}
void missing_barrier_before_reuse(const Call& call) {
  run(reuse_kernel, call);
}
void missing_warp_barrier(const Call& call) {
  run(no_warp_barrier_kernel, call);
}
void barrier_in_one_branch(const Call& call) {
  run(one_branch_kernel, call);
}
void different_barriers(const Call& call) {
  run(two_barriers_kernel, call);
}
void mask_without_caller(const Call& call) {
  run(without_caller_kernel, call);
}
void mask_with_absent_lanes(const Call& call) {
  run(absent_lanes_kernel, call);
}
void different_masks(const Call& call) {
  run(different_masks_kernel, call);
}
void lane_outside_mask(const Call& call) {
  run(outside_mask_kernel, call);
}
void copy_read_before_wait(const Call& call) {
  run(before_wait_kernel<16>, call);
}
void copy_of_4_bytes_read_before_wait(const Call& call) {
  run(before_wait_kernel<4>, call);
}
void copy_read_without_barrier(const Call& call) {
  run(no_barrier_after_wait_kernel, call);
}
void copy_never_waited_for(const Call& call) {
  run(never_waited_kernel, call);
}
void copy_misaligned(const Call& call) {
  run(misaligned_copy_kernel, call);
}
void two_blocks_write_one_place(const Call& call) {
  run(two_blocks_kernel, call, {2});
}

void last_block(const Call& call) {
  run(last_block_kernel<LeftOut::kNothing>, call, {2});
}
void last_block_without_barrier_before(const Call& call) {
  run(last_block_kernel<LeftOut::kBarrierBefore>, call, {2});
}
void last_block_without_barrier_after(const Call& call) {
  run(last_block_kernel<LeftOut::kBarrierAfter>, call, {2});
}
void last_block_without_arrival(const Call& call) {
  run(last_block_kernel<LeftOut::kArrival>, call, {2});
}
void last_block_moves_on(const Call& call) {
  run(moving_on_kernel<false>, call, {2});
}
void last_block_moves_on_too_early(const Call& call) {
  run(moving_on_kernel<true>, call, {2});
}

void too_many_threads(const Call& call) {
  run(none_kernel, call, {1}, {64, 17});
}
void too_many_registers(const Call& call) {
  run(tile_product_kernel<FfmaLoop<128>>, call, {1}, {512});
}
void grid_too_tall(const Call& call) {
  run(none_kernel, call, {1, 65536});
}
void shared_without_opt_in(const Call& call) {
  run(big_shared_kernel, call, {1}, {kThreads}, gpu::kSharedBytesWithoutOptIn);
}
void shared_above_device(const Call& call) {
  run(big_shared_kernel, call, {1}, {kThreads}, 100 * 1024);
}

}  // namespace diabolo::planted
