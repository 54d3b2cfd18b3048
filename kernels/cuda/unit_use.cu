// Which units of sparse codes are used.
//
// Computes    next = rows since each unit was last other than 0; active, the numbers other than 0 a
//             row; dead, the share of units whose next is at least the limit
// Shapes      code [B,D] T; idle, next [D] f32; active, dead [1] f32
// Work split  a block takes 32 columns of all rows, its eight warps every eighth row; two last
//             passes add the blocks' counts
// Traffic     one read of [B,D]
// Numerics    counts in float, exact below 2^24: of a block always; of all blocks in a fixed order
// Limits      B, D >= 1, B < 2^31
// Source      kernels/unit_use.h
#include "kernels/unit_use.h"

#include "kernels/cuda/flat.cuh"

namespace diabolo::kernels::cuda {
namespace {

constexpr int kWarps = kFlatThreads / 32;

template <class T>
struct Columns {
  UnitUse<T> p;
  float* used;  // of each block
  float* dead;
};

template <class T>
__global__ void __launch_bounds__(kFlatThreads)
    unit_use_kernel(const __grid_constant__ Columns<T> call) {
  GPU_SHARED(float, counts, kFlatThreads);
  const auto& p = call.p;
  const int64_t d = int64_t{blockIdx.x} * kUnitUseColumns + gpu::lane_id();
  float used = 0;
  for (int64_t b = gpu::warp_id(); b < p.B && d < p.D; b += kWarps)
    used += is_used(widen(p.code[b * p.D + d])) ? 1.0f : 0.0f;
  counts[threadIdx.x] = used;
  gpu::sync_block();
  if (gpu::warp_id() != 0) return;
  for (int w = 1; w < kWarps; ++w) used += counts[32 * w + threadIdx.x];
  float dead = 0;
  if (d < p.D) {
    const float next = used > 0 ? 0.0f : next_idle(p.idle[d], p.B);
    p.next[d] = next;
    dead = next >= p.limit ? 1.0f : 0.0f;
  }
  const float all_used = gpu::warp_sum(used), all_dead = gpu::warp_sum(dead);
  if (threadIdx.x != 0) return;
  call.used[blockIdx.x] = all_used;
  call.dead[blockIdx.x] = all_dead;
}

template <class T>
Launch prepare_use(const UnitUse<T>& p, void* scratch) {
  const int64_t blocks = unit_use_blocks(p.D);
  auto* const used = static_cast<float*>(scratch);
  const Columns<T> call{p, used, used + blocks};
  const FinishSum active{used, blocks, 1.0f / static_cast<float>(p.B), AfterSum::kScale, p.active};
  const FinishSum dead{used + blocks, blocks, 1.0f / static_cast<float>(p.D), AfterSum::kScale,
                       p.dead};
  return [=](void* stream) {
    launch_flat(unit_use_kernel<T>, blocks, stream, call);
    launch_finish_sum(active, stream);
    launch_finish_sum(dead, stream);
  };
}

}  // namespace

Launch prepare(const UnitUse<float>& p, const Device&, void* scratch) {
  return prepare_use(p, scratch);
}
Launch prepare(const UnitUse<Bf16>& p, const Device&, void* scratch) {
  return prepare_use(p, scratch);
}

}  // namespace diabolo::kernels::cuda
