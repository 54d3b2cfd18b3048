// Kernels of verb_kernels.h.
#include "cuda_host/verb_kernels.h"

#include "kernels/cuda/device/async_copy.cuh"
#include "kernels/cuda/device/block.cuh"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/device/mma.cuh"

namespace diabolo::verbs {

namespace gpu = kernels::gpu;

namespace {

template <bool kTf32>
__global__ void mma_kernel(const __grid_constant__ MmaCall p) {
  gpu::MmaA a;
  gpu::MmaB b;
  gpu::MmaC c;
  const unsigned lane = gpu::lane_id();
  for (unsigned i = 0; i < 4; ++i) a.r[i] = p.a[lane * 4 + i];
  for (unsigned i = 0; i < 2; ++i) b.r[i] = p.b[lane * 2 + i];
  for (unsigned i = 0; i < 4; ++i) c.r[i] = p.c[lane * 4 + i];
  if constexpr (kTf32) {
    gpu::mma_tf32(c, a, b);
  } else {
    gpu::mma_bf16(c, a, b);
  }
  for (unsigned i = 0; i < 4; ++i) p.c[lane * 4 + i] = c.r[i];
}

template <int kCount, bool kTransposed>
__global__ void ldmatrix_kernel(const __grid_constant__ LdmatrixCall p) {
  GPU_SHARED(std::uint16_t, tile, 8 * 4 * 8);
  const unsigned lane = gpu::lane_id();
  if (lane < 8 * kCount) {
    gpu::store<16>(tile + lane * 8, gpu::load<16>(p.rows + lane * 8));
  }
  gpu::sync_block();
  std::uint32_t registers[kCount];
  gpu::ldmatrix<kCount, kTransposed>(registers, tile + lane % (8 * kCount) * 8);
  for (unsigned i = 0; i < kCount; ++i) p.registers[lane * kCount + i] = registers[i];
}

template <int kBytes>
__global__ void copy_kernel(const __grid_constant__ CopyCall p) {
  GPU_SHARED(unsigned char, buffer, 2 * 64 * kBytes);
  const unsigned t = threadIdx.x;
  for (unsigned g = 0; g < 2; ++g) {
    const unsigned at = (g * 64 + t) * kBytes;
    gpu::cp_async<kBytes>(buffer + at, p.src + at, p.valid_bytes);
    gpu::cp_async_commit();
  }
  gpu::cp_async_wait<1>();
  gpu::sync_block();
  gpu::store<kBytes>(p.out + t * kBytes, gpu::load<kBytes>(buffer + (63 - t) * kBytes));
  gpu::cp_async_wait<0>();
  gpu::sync_block();
  gpu::store<kBytes>(p.out + (64 + t) * kBytes, gpu::load<kBytes>(buffer + (127 - t) * kBytes));
}

__global__ void warp_kernel(const __grid_constant__ WarpCall p) {
  const unsigned t = threadIdx.x;
  const float x = p.in[t];
  p.from_lane_5[t] = gpu::shuffle(gpu::kFullWarp, x, 5);
  p.from_xor_9[t] = gpu::shuffle_xor(gpu::kFullWarp, x, 9);
  if (gpu::lane_id() < 16) {
    p.from_half_warp[t] = gpu::shuffle_xor(0x0000FFFFU, x, 3);
  } else {
    p.from_half_warp[t] = gpu::shuffle_xor(0xFFFF0000U, x, 3);
  }
  gpu::sync_warp();
  p.sum_of_warp[t] = gpu::warp_sum(x);
  GPU_SHARED(float, warp_sums, 3);
  p.sum_of_block[t] = gpu::block_sum<96>(x, warp_sums);
}

__global__ void convert_kernel(const __grid_constant__ ConvertCall p) {
  const unsigned t = threadIdx.x;
  const std::uint32_t packed = gpu::pack_bf16(p.in[2 * t], p.in[2 * t + 1]);
  p.packed[t] = packed;
  p.unpacked[2 * t] = gpu::low_bf16(packed);
  p.unpacked[2 * t + 1] = gpu::high_bf16(packed);
  p.tf32[2 * t] = gpu::to_tf32(p.in[2 * t]);
  p.tf32[2 * t + 1] = gpu::to_tf32(p.in[2 * t + 1]);
  if (t < 8) gpu::store_global(p.copied + 4 * t, gpu::load<16>(p.in + 4 * t));
  if (t < 8) gpu::store<8>(p.copied + 32 + 2 * t, gpu::load<8>(p.in + 32 + 2 * t));
  if (t < 16) gpu::store<4>(p.copied + 48 + t, gpu::load<4>(p.in + 48 + t));
}

}  // namespace

void launch_mma_bf16(const MmaCall& call, void* stream) {
  gpu::launch(mma_kernel<false>, {1}, {32}, 0, stream, call);
}

void launch_mma_tf32(const MmaCall& call, void* stream) {
  gpu::launch(mma_kernel<true>, {1}, {32}, 0, stream, call);
}

void launch_ldmatrix(const LdmatrixCall& call, void* stream) {
  const bool t = call.is_transposed;
  auto* kernel = t ? ldmatrix_kernel<4, true> : ldmatrix_kernel<4, false>;
  if (call.count == 1) kernel = t ? ldmatrix_kernel<1, true> : ldmatrix_kernel<1, false>;
  if (call.count == 2) kernel = t ? ldmatrix_kernel<2, true> : ldmatrix_kernel<2, false>;
  gpu::launch(kernel, {1}, {32}, 0, stream, call);
}

void launch_copy(const CopyCall& call, void* stream) {
  auto* kernel = copy_kernel<16>;
  if (call.bytes == 8) kernel = copy_kernel<8>;
  if (call.bytes == 4) kernel = copy_kernel<4>;
  gpu::launch(kernel, {1}, {64}, 0, stream, call);
}

void launch_warp(const WarpCall& call, void* stream) {
  gpu::launch(warp_kernel, {1}, {96}, 0, stream, call);
}

void launch_convert(const ConvertCall& call, void* stream) {
  gpu::launch(convert_kernel, {1}, {32}, 0, stream, call);
}

}  // namespace diabolo::verbs
