// How the CUDA kernels split their work: pure functions of shape and device, apart from kernels and
// launches, so that they can be tested over all shapes without a GPU.
#pragma once

#include <cstdint>

#include "kernels/dense.h"

namespace diabolo::kernels::cuda {

// Square tiles of the output of a product. The medium one is built only where it is chosen often:
// f32 and bf16, forward and gradients. Every instance costs compile time on seven architectures.
enum class TileSize { kLarge, kMedium, kSmall };
enum class TileSet { kAll, kLargeAndSmall };
constexpr bool has_tile(TileSet set, TileSize size) {
  return size != TileSize::kMedium || set == TileSet::kAll;
}
// What is built of a kernel's set; those who choose and those who launch both ask here.
constexpr TileSet built_tiles(TileSet of_kernel, bool is_tf32) {
  return is_tf32 ? TileSet::kLargeAndSmall : of_kernel;
}
inline constexpr int kTileExtent[] = {128, 64, 32};

DIABOLO_HD constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

inline int64_t extent(TileSize size) {
  return kTileExtent[static_cast<int>(size)];
}
inline int64_t tile_count(int64_t m, int64_t n, TileSize size) {
  return ceil_div(m, extent(size)) * ceil_div(n, extent(size));
}

// The largest tile that gives three quarters of the multiprocessors one: four tiles of half the
// extent take as long in place of one that is three quarters of a wave. All tiles add up an element
// in the same order, so the choice may look at the batch without changing a bit of the result.
TileSize choose_tile(int64_t m, int64_t n, TileSet set, const Device& device);

// The tiles that exist for a product of T.
template <class T>
TileSet tile_set(const Device& device) {
  return built_tiles(TileSet::kAll, sizeof(T) == 4 && device.allows_tf32);
}

// Scores add up a row tile by tile, so their tile may not depend on the batch.
TileSize choose_score_tile(int64_t n);

// True if the products of T run on the tensor cores.
template <class T>
bool is_on_tensor_cores(const Device& device) {
  return sizeof(T) == 2 || device.allows_tf32;
}

// A weight gradient is summed over the batch in `splits` parts of `rows_per_split` rows (a multiple
// of 64, the deepest staged tile), then the parts in order: as many as take the fewest cycles.
struct WeightGradSplit {
  TileSize tile;
  int64_t splits;
  int64_t rows_per_split;
};
WeightGradSplit choose_weight_grad(const DenseShape& shape, TileSet set, bool on_tensor_cores,
                                   const Device& device);

template <class T>
WeightGradSplit choose_weight_grad(const DenseShape& shape, const Device& device) {
  return choose_weight_grad(shape, tile_set<T>(device), is_on_tensor_cores<T>(device), device);
}

// Bytes of the weight's parts in scratch; those of the bias follow.
uint64_t weight_part_bytes(const DenseShape& shape, const WeightGradSplit& split);

// Sums over a flat array: `blocks` partial sums of `elems_per_block` elements each.
struct FlatSum {
  int64_t blocks;
  int64_t elems_per_block;
};
FlatSum choose_flat_sum(int64_t n);

// Blocks for an element-wise kernel over n quads of elements: at most 8 a multiprocessor, each
// striding over the rest.
int64_t choose_flat_blocks(int64_t quads, const Device& device);
inline constexpr int kFlatThreads = 256;

}  // namespace diabolo::kernels::cuda
