// How the CUDA kernels split their work: pure functions of shape and device, apart from kernels and
// launches, so that they can be tested over all shapes without a GPU.
#pragma once

#include <cstdint>

#include "kernels/dense.h"

namespace diabolo::kernels::cuda {

// What a product computes: C[m,n] = sum over k of A[m,k] B[k,n].
struct GemmShape {
  int64_t m = 0, n = 0, k = 0;
};

// Tiles of the output of a product, by rows and columns. Every instance costs compile time on seven
// architectures, so each is built only where it is chosen often: in bf16's forward and gradients
// the tall one, for large batches, and the long one, for layers of up to 64 outputs and last tiles;
// the medium one there and in f32's.
enum class TileSize { kTall, kLarge, kLong, kMedium, kSmall };
inline constexpr TileSize kTileSizes[] = {TileSize::kTall, TileSize::kLarge, TileSize::kLong,
                                          TileSize::kMedium, TileSize::kSmall};
struct TileExtents {
  int m, n;
};
inline constexpr TileExtents kTileExtents[] = {
    {256, 128}, {128, 128}, {128, 64}, {64, 64}, {32, 32}};

// The arithmetic of a product.
enum class ProductMath { kF32, kTf32, kBf16 };
template <class T>
ProductMath product_math(const Device& device) {
  if (sizeof(T) == 2) return ProductMath::kBf16;
  return device.allows_tf32 ? ProductMath::kTf32 : ProductMath::kF32;
}

// What is built of a kernel's set; those who choose and those who launch both ask here.
enum class TileSet { kAll, kLargeAndSmall };
constexpr bool has_tile(TileSet of_kernel, ProductMath math, TileSize size) {
  if (size == TileSize::kLarge || size == TileSize::kSmall) return true;
  if (of_kernel == TileSet::kLargeAndSmall || math == ProductMath::kTf32) return false;
  return size == TileSize::kMedium || math == ProductMath::kBf16;
}

DIABOLO_HD constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

inline TileExtents extents(TileSize size) {
  return kTileExtents[static_cast<int>(size)];
}
inline int64_t tile_count(int64_t m, int64_t n, TileSize size) {
  return ceil_div(m, extents(size).m) * ceil_div(n, extents(size).n);
}

// The tile, and into how many parts of `k_per_split` (a multiple of 64, the deepest staged tile,
// where there are several) the sum over k is cut: what takes the fewest cycles by arithmetic that
// counts whole tiles and waves, so padding too, what bounds a step over k, an epilogue, and what
// adds the parts up. At most `most_splits` parts. All tiles add up an element in the same order, so
// that a choice of one part may look at the batch without changing a bit of the result.
struct ProductChoice {
  TileSize tile;
  int64_t splits;
  int64_t k_per_split;
};
ProductChoice choose_product(const GemmShape& shape, TileSet set, ProductMath math,
                             const Device& device);

// The cycles of a forward product in one part, without its launch, where blocks share
// multiprocessors, which choose_product does not count.
double side_by_side_cycles(const GemmShape& shape, TileSize tile, ProductMath math,
                           const Device& device);

// The tile of a loss, of which each leaves a partial sum in scratch.
TileSize choose_loss_tile(const DenseShape& shape, ProductMath math, const Device& device);

// Scores add up a row tile by tile, so their tile may not depend on the batch.
TileSize choose_score_tile(int64_t n);

// A weight gradient is a sum over the batch; its parts are added in order, by a launch of their own
// or (leaves_parts) by who reads the sum.
GemmShape weight_grad_shape(const DenseShape& shape);
ProductChoice choose_weight_grad(const DenseShape& shape, ProductMath math, const Device& device,
                                 bool leaves_parts = false);
template <class T>
ProductChoice choose_weight_grad(const DenseShape& shape, const Device& device,
                                 bool leaves_parts = false) {
  return choose_weight_grad(shape, product_math<T>(device), device, leaves_parts);
}

// Both gradients of a layer in one launch, in tiles of one size; the parts are the weight's. And
// whether that takes fewer cycles than one after the other. Not built for tf32.
ProductChoice choose_dense_grads(const DenseShape& shape, ProductMath math, const Device& device,
                                 bool leaves_parts);
bool dense_grads_pay(const DenseShape& shape, ProductMath math, const Device& device,
                     bool leaves_parts);
// What a weight gradient is made by.
template <class T>
ProductChoice choice_of(const DenseWeightGrad<T>& p, const Device& device) {
  const ProductMath math = product_math<T>(device);
  return p.is_joined ? choose_dense_grads(p.shape, math, device, p.leaves_parts)
                     : choose_weight_grad(p.shape, math, device, p.leaves_parts);
}

// Bytes of the weight's parts in scratch; those of the bias follow.
uint64_t weight_part_bytes(const DenseShape& shape, const ProductChoice& choice);

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
