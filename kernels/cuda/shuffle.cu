// The order of an epoch's rows.
//
// Computes    the permutation of kernels/shuffle.h, that of the host: draws, a stable sort of the
//             places by what they are swapped with, links, chains
// Shapes      order [n] u32
// Work split  a grid-stride loop over places, choose_flat_blocks; the sort is CUB's (sort_pairs.h)
// Traffic     some 100 bytes a row, half of them the sort's, a quarter at random: memory
// Numerics    integers
// Limits      1 <= n < 2^32
// Source      kernels/shuffle.h
#include "kernels/shuffle.h"

#include <bit>

#include "kernels/cuda/flat.cuh"
#include "kernels/cuda/sort_pairs.h"

namespace diabolo::kernels::cuda {
namespace {

constexpr uint32_t kNone = 0xFFFFFFFFU;

template <class F>
GPU_VERB void for_each_place(int64_t n, F&& f) {
  const int64_t stride = int64_t{gridDim.x} * kFlatThreads;
  for (int64_t i = int64_t{blockIdx.x} * kFlatThreads + threadIdx.x; i < n; i += stride) f(i);
}

struct Draws {
  int64_t n;
  const StepState* state;
  Pairs pairs;      // t(i) and i
  uint32_t* first;  // of no place yet
};
__global__ void __launch_bounds__(kFlatThreads) draw_kernel(const __grid_constant__ Draws p) {
  const StepState state = *p.state;
  for_each_place(p.n, [&](int64_t i) {
    p.pairs.keys[i] = swapped_with(state, static_cast<uint32_t>(i));
    p.pairs.values[i] = static_cast<uint32_t>(i);
    p.first[i] = kNone;
  });
}

struct Links {
  int64_t n;
  Pairs sorted;
  uint32_t* first;
  uint32_t* order;
};

// The i that follows in the sorted list and has the same t.
GPU_VERB uint32_t next_of(const Links& p, int64_t at, uint32_t target) {
  return at + 1 < p.n && p.sorted.keys[at + 1] == target ? p.sorted.values[at + 1] : kNone;
}

__global__ void __launch_bounds__(kFlatThreads) link_kernel(const __grid_constant__ Links p) {
  for_each_place(p.n, [&](int64_t at) {
    const uint32_t target = p.sorted.keys[at];
    if (at > 0 && p.sorted.keys[at - 1] == target) return;
    const uint32_t i = p.sorted.values[at];
    p.first[target] = i > target ? i : next_of(p, at, target);  // swapped with itself: the next
  });
}

__global__ void __launch_bounds__(kFlatThreads) resolve_kernel(const __grid_constant__ Links p) {
  for_each_place(p.n, [&](int64_t at) {
    const uint32_t target = p.sorted.keys[at];
    uint32_t held = next_of(p, at, target);
    if (held == kNone)
      held = target;
    else
      for (uint32_t link = p.first[held]; link != kNone; link = p.first[held]) held = link;
    p.order[p.sorted.values[at]] = held;
  });
}

}  // namespace

Launch prepare(const Shuffle& p, const Device& device, void* scratch) {
  auto* const array = static_cast<uint32_t*>(scratch);
  const auto array_bytes = aligned_bytes(4 * static_cast<uint64_t>(p.n));
  const auto part = [=](int k) { return array + k * (array_bytes / 4); };
  const SortPairs sort{.n = p.n,
                       .bits = static_cast<int>(std::bit_width(static_cast<uint64_t>(p.n - 1) | 1)),
                       .from = {part(0), part(1)},
                       .other = {part(2), part(3)},
                       .scratch = part(5)};
  const Draws draws{p.n, p.state, sort.from, part(4)};
  const int64_t blocks = choose_flat_blocks(p.n, device);
  return [=, order = p.order](void* stream) {
    launch_flat(draw_kernel, blocks, stream, draws);
    const Links links{draws.n, sort_pairs(sort, stream), draws.first, order};
    launch_flat(link_kernel, blocks, stream, links);
    launch_flat(resolve_kernel, blocks, stream, links);
  };
}

}  // namespace diabolo::kernels::cuda
