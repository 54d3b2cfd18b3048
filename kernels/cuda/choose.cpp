// Choices, refusals and scratch sizes of the CUDA kernels.
#include "kernels/cuda/choose.h"

#include <algorithm>
#include <limits>

#include "kernels/cuda/rates.h"

namespace diabolo::kernels::cuda {
namespace {

constexpr int64_t kMaxBlocks = 0x7FFFFFFF;  // of a grid, in x
constexpr int64_t kSplitDepth = 64;
constexpr int64_t kMinDepthOfSplit = 256;
constexpr int64_t kMaxSplits = 64;
// Of a tall tile one block fits on a multiprocessor: where there are more blocks than those,
// nothing else runs while it fills its stages and stores its result, which shorter sums would not
// pay back. Until that is measured.
constexpr int64_t kMinDepthOfTall = 512;
constexpr int64_t kMaxDepth = int64_t{1} << 30;  // of one tile's sum: loaders count in 32 bits
constexpr int64_t kFlatSumElems = 16384;         // 64 a thread
constexpr int64_t kMaxFlatBlocks = 4096;

// Of a tile: the first copies' way, the barriers of the slabs. A part: 8 bytes an output, to the
// cache and back, and in the launch that adds them up a share of a way to the cache, four loads
// being in flight together.
constexpr double kTileCycles = 1500, kPartCycles = 8.0 / 24;
constexpr double kCyclesOfAddedPart = 300.0 / 4;

struct TileCosts {
  double shared_bytes;  // of bf16 through shared memory for a row of k: staging in, fragments out
  double wait;  // cycles a row of k that the way from memory takes with all stages in flight
  double ffma;  // how many times longer barriers and loads make the fused multiply-adds
};
constexpr TileCosts kTileCosts[] = {
    {2816, 11, 1.0}, {2048, 11, 1.0}, {1152, 8, 1.0}, {768, 7.5, 1.1}, {384, 4, 1.4}};

// Of the forward product, by math and tile: blocks of a multiprocessor, by sass_budget.txt and by
// an H100's shared memory.
constexpr int kResident[3][5] = {{1, 1, 1, 4, 6}, {1, 2, 1, 1, 6}, {1, 2, 3, 5, 6}};

RowCosts row_costs(TileSize tile, ProductMath math) {
  const TileCosts& costs = kTileCosts[static_cast<int>(tile)];
  const auto [m, n] = extents(tile);
  const double elem = math == ProductMath::kBf16 ? 2 : 4;
  const double area = double{1} * m * n;
  const double computed =
      math == ProductMath::kF32 ? area / kFfmaRate * costs.ffma : area / (kBf16Rate * 2 / elem);
  return {costs.shared_bytes * elem / 2, (m + n) * elem, computed, costs.wait * elem / 2};
}

double product_cycles(const GemmShape& shape, TileSize tile, int64_t splits, int64_t depth,
                      ProductMath math, const Device& device) {
  const int64_t blocks = tile_count(shape.m, shape.n, tile) * splits;
  const auto waves = static_cast<double>(ceil_div(blocks, device.multiprocessors));
  const auto busy = static_cast<double>(std::min<int64_t>(blocks, device.multiprocessors));
  const double elements = double{1} * extents(tile).m * extents(tile).n;
  const double of_tile = kTileCycles + kElementCycles * elements;
  const double of_rows = static_cast<double>(depth) * row_cycles(row_costs(tile, math), 1, busy);
  if (splits == 1) return waves * (of_rows + of_tile);
  return waves * (of_rows + of_tile + kPartCycles * elements) + kLaunchCycles +
         kCyclesOfAddedPart * static_cast<double>(splits);
}

}  // namespace

const char* refuse_device(const Device& device) {
  return device.arch < 80 ? "the device is older than sm_80" : nullptr;
}

const char* refuse_count(int64_t n, const Device& device) {
  if (n < 1) return "there are no elements";
  return refuse_device(device);
}

const char* refuse_shape(const DenseShape& s, const Device& device) {
  if (s.B < 1 || s.I < 1 || s.O < 1) return "an extent is 0";
  if (std::max(s.I, s.O) > (int64_t{1} << 30)) return "a layer is wider than 2^30";
  const int64_t rows = ceil_div(s.B, 32);
  const int64_t of_weight =
      std::max(ceil_div(s.I, 32) * ceil_div(s.O, 32),  // tiles of its gradient
               ceil_div(s.I * s.O, kFlatThreads));     // the sum of its parts
  if (rows * ceil_div(std::max(s.I, s.O), 32) > kMaxBlocks || of_weight > kMaxBlocks)
    return "more than 2^31 tiles";
  return refuse_device(device);
}

const char* refuse_matrix(int64_t B, int64_t D, const Device& device) {
  if (B < 1 || D < 1) return "an extent is 0";
  if (B > kMaxBlocks) return "more than 2^31 rows";
  return refuse_device(device);
}

ProductChoice choose_product(const GemmShape& shape, TileSet set, ProductMath math,
                             const Device& device, int64_t most_splits) {
  const int64_t least = most_splits > 1 ? ceil_div(shape.k, kMaxDepth) : 1;
  const int64_t most = std::clamp(shape.k / kMinDepthOfSplit, least, std::max(most_splits, least));
  ProductChoice best{};
  double best_cycles = std::numeric_limits<double>::infinity();
  for (const TileSize tile : kTileSizes) {
    if (!has_tile(set, math, tile)) continue;
    for (int64_t wanted = least; wanted <= most; ++wanted) {
      const int64_t whole = ceil_div(ceil_div(shape.k, wanted), kSplitDepth) * kSplitDepth;
      const int64_t depth = wanted == 1 ? shape.k : whole;
      const int64_t splits = ceil_div(shape.k, depth);
      if (tile == TileSize::kTall && depth < kMinDepthOfTall &&
          tile_count(shape.m, shape.n, tile) * splits > device.multiprocessors)
        continue;
      const double cycles = product_cycles(shape, tile, splits, depth, math, device);
      if (cycles >= best_cycles) continue;
      best = {tile, splits, depth};
      best_cycles = cycles;
    }
  }
  return best;
}

double side_by_side_cycles(const GemmShape& shape, TileSize tile, ProductMath math,
                           const Device& device) {
  const int64_t blocks = tile_count(shape.m, shape.n, tile);
  const auto busy = static_cast<double>(std::min<int64_t>(blocks, device.multiprocessors));
  const double elements = double{1} * extents(tile).m * extents(tile).n;
  const RowCosts row = row_costs(tile, math);
  return waves_cycles(ceil_div(blocks, device.multiprocessors),
                      kResident[static_cast<int>(math)][static_cast<int>(tile)],
                      [&](double resident) {
                        return static_cast<double>(shape.k) * row_cycles(row, resident, busy) +
                               kTileCycles + resident * kElementCycles * elements;
                      });
}

TileSize choose_loss_tile(const DenseShape& s, ProductMath math, const Device& device) {
  return choose_product({s.B, s.O, s.I}, TileSet::kLargeAndSmall, math, device).tile;
}

TileSize choose_score_tile(int64_t n) {
  return n > 32 ? TileSize::kLarge : TileSize::kSmall;
}

ProductChoice choose_weight_grad(const DenseShape& s, ProductMath math, const Device& device) {
  const GemmShape shape = s.weight_transposed ? GemmShape{s.O, s.I, s.B} : GemmShape{s.I, s.O, s.B};
  return choose_product(shape, TileSet::kAll, math, device, kMaxSplits);
}

FlatSum choose_flat_sum(int64_t n) {
  const int64_t blocks = std::clamp(ceil_div(n, kFlatSumElems), int64_t{1}, kMaxFlatBlocks);
  const int64_t elems = ceil_div(ceil_div(n, blocks), 4) * 4;
  return {ceil_div(n, elems), elems};
}

int64_t choose_flat_blocks(int64_t quads, const Device& device) {
  const int64_t most = int64_t{device.multiprocessors} * 8;
  return std::clamp(ceil_div(quads, kFlatThreads), int64_t{1}, most);
}

template <class T>
uint64_t scratch_bytes(const DenseLoss<T>& p, const Device& device) {
  const DenseShape& s = p.shape;
  const TileSize tile = choose_loss_tile(s, product_math<T>(device), device);
  return aligned_bytes(4 * static_cast<uint64_t>(tile_count(s.B, s.O, tile)));
}
template uint64_t scratch_bytes(const DenseLoss<float>&, const Device&);
template uint64_t scratch_bytes(const DenseLoss<Bf16>&, const Device&);

// One word, at which the tiles arrive.
template <class T>
uint64_t zeroed_bytes(const DenseLoss<T>&, const Device&) {
  return sizeof(uint32_t);
}
template uint64_t zeroed_bytes(const DenseLoss<float>&, const Device&);
template uint64_t zeroed_bytes(const DenseLoss<Bf16>&, const Device&);

template <class T>
uint64_t scratch_bytes(const DenseScore<T>& p, const Device&) {
  const int64_t tiles = ceil_div(p.shape.O, extents(choose_score_tile(p.shape.O)).n);
  return aligned_bytes(4 * static_cast<uint64_t>(p.shape.B * tiles));
}
template uint64_t scratch_bytes(const DenseScore<float>&, const Device&);
template uint64_t scratch_bytes(const DenseScore<Bf16>&, const Device&);

uint64_t weight_part_bytes(const DenseShape& s, const ProductChoice& choice) {
  return aligned_bytes(4 * static_cast<uint64_t>(choice.splits * s.I * s.O));
}

template <class T>
uint64_t scratch_bytes(const DenseWeightGrad<T>& p, const Device& device) {
  const ProductChoice choice = choose_weight_grad<T>(p.shape, device);
  if (choice.splits == 1) return 0;
  const uint64_t bias = p.d_bias ? 4 * static_cast<uint64_t>(choice.splits * p.shape.O) : 0;
  return weight_part_bytes(p.shape, choice) + aligned_bytes(bias);
}
template uint64_t scratch_bytes(const DenseWeightGrad<float>&, const Device&);
template uint64_t scratch_bytes(const DenseWeightGrad<Bf16>&, const Device&);

uint64_t flat_sum_bytes(int64_t n) {
  return aligned_bytes(4 * static_cast<uint64_t>(choose_flat_sum(n).blocks));
}

}  // namespace diabolo::kernels::cuda
