// Choices, refusals and scratch sizes of the CUDA kernels.
#include "kernels/cuda/choose.h"

#include <algorithm>

namespace diabolo::kernels::cuda {
namespace {

constexpr int64_t kMaxBlocks = 0x7FFFFFFF;  // of a grid, in x
constexpr int64_t kSplitRows = 64;
constexpr int64_t kMinRowsPerSplit = 256;
constexpr int64_t kMaxSplits = 64;
constexpr int64_t kMaxDepth = int64_t{1} << 30;  // of one tile's sum: loaders count in 32 bits
// Where the batch is to be cut for a larger tile's sake, a part has to be this deep to pay for
// itself.
constexpr int64_t kRowsWorthAPart = 1024;
constexpr int64_t kFlatSumElems = 16384;  // 64 a thread
constexpr int64_t kMaxFlatBlocks = 4096;

// What one tile of a weight gradient costs a multiprocessor, in cycles of an H100; arithmetic, not
// measured. A row of the batch: on the tensor cores what shared memory moves at 128 bytes a cycle
// (staging in, fragments out: 2 KiB for a row of the large tile), else m n fused multiply-adds
// at 128 a cycle, and a tenth and a third more in the smaller tiles for their barriers. A part:
// 8 bytes an output, to the second-level cache and back, at 24 a cycle.
struct TileCycles {
  double row_on_tensor_cores, row, part;
};
constexpr TileCycles kTileCycles[] = {{16, 128, 5400}, {6, 35, 1365}, {3, 11, 341}};
constexpr double kLaunchCycles = 1900;  // 1.1 us

double cycles_of(int64_t tiles, int64_t rows, int64_t splits, const TileCycles& tile,
                 bool on_tensor_cores, const Device& device) {
  const double of_row = on_tensor_cores ? tile.row_on_tensor_cores : tile.row;
  const double of_rows = static_cast<double>(rows) * of_row;
  const auto waves = static_cast<double>(ceil_div(tiles * splits, device.multiprocessors));
  return splits == 1 ? waves * of_rows : waves * (of_rows + tile.part) + kLaunchCycles;
}

bool fills(int64_t tiles, const Device& device) {
  return 4 * tiles >= 3 * int64_t{device.multiprocessors};
}

// As choose_tile, with the batch cut into parts that are worth it.
TileSize choose_weight_grad_tile(const DenseShape& s, TileSet set, const Device& device) {
  const int64_t parts = std::clamp(s.B / kRowsWorthAPart, int64_t{1}, kMaxSplits);
  for (const TileSize size : {TileSize::kLarge, TileSize::kMedium}) {
    const bool exists = has_tile(set, size);
    if (exists && fills(parts * tile_count(s.I, s.O, size), device)) return size;
  }
  return TileSize::kSmall;
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
  if (rows * ceil_div(std::max(s.I, s.O), 32) > kMaxBlocks) return "more than 2^31 tiles";
  return refuse_device(device);
}

const char* refuse_matrix(int64_t B, int64_t D, const Device& device) {
  if (B < 1 || D < 1) return "an extent is 0";
  if (B > kMaxBlocks) return "more than 2^31 rows";
  return refuse_device(device);
}

TileSize choose_tile(int64_t m, int64_t n, TileSet set, const Device& device) {
  for (const TileSize size : {TileSize::kLarge, TileSize::kMedium}) {
    const bool exists = has_tile(set, size);
    if (exists && fills(tile_count(m, n, size), device)) return size;
  }
  return TileSize::kSmall;
}

TileSize choose_score_tile(int64_t n) {
  return n > 32 ? TileSize::kLarge : TileSize::kSmall;
}

WeightGradSplit choose_weight_grad(const DenseShape& s, TileSet set, bool on_tensor_cores,
                                   const Device& device) {
  const TileSize tile = choose_weight_grad_tile(s, set, device);
  const int64_t tiles = tile_count(s.I, s.O, tile);
  const int64_t most = std::clamp(s.B / kMinRowsPerSplit, int64_t{1}, kMaxSplits);
  WeightGradSplit best{};
  double best_cycles = 0;
  const int64_t least = ceil_div(s.B, kMaxDepth);
  for (int64_t wanted = least; wanted <= most; ++wanted) {
    const int64_t rows = ceil_div(ceil_div(s.B, wanted), kSplitRows) * kSplitRows;
    const int64_t splits = ceil_div(s.B, rows);
    const double cycles = cycles_of(tiles, rows, splits, kTileCycles[static_cast<int>(tile)],
                                    on_tensor_cores, device);
    if (wanted > least && cycles >= best_cycles) continue;
    best = {tile, splits, rows};
    best_cycles = cycles;
  }
  return best;
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
  const TileSize tile = choose_tile(p.shape.B, p.shape.O, TileSet::kLargeAndSmall, device);
  return aligned_bytes(4 * static_cast<uint64_t>(tile_count(p.shape.B, p.shape.O, tile)));
}
template uint64_t scratch_bytes(const DenseLoss<float>&, const Device&);
template uint64_t scratch_bytes(const DenseLoss<Bf16>&, const Device&);

template <class T>
uint64_t scratch_bytes(const DenseScore<T>& p, const Device&) {
  const int64_t tiles = ceil_div(p.shape.O, extent(choose_score_tile(p.shape.O)));
  return aligned_bytes(4 * static_cast<uint64_t>(p.shape.B * tiles));
}
template uint64_t scratch_bytes(const DenseScore<float>&, const Device&);
template uint64_t scratch_bytes(const DenseScore<Bf16>&, const Device&);

uint64_t weight_part_bytes(const DenseShape& s, const WeightGradSplit& split) {
  return aligned_bytes(4 * static_cast<uint64_t>(split.splits * s.I * s.O));
}

template <class T>
uint64_t scratch_bytes(const DenseWeightGrad<T>& p, const Device& device) {
  const WeightGradSplit split = choose_weight_grad<T>(p.shape, device);
  if (split.splits == 1) return 0;
  const uint64_t bias = p.d_bias ? 4 * static_cast<uint64_t>(split.splits * p.shape.O) : 0;
  return weight_part_bytes(p.shape, split) + aligned_bytes(bias);
}
template uint64_t scratch_bytes(const DenseWeightGrad<float>&, const Device&);
template uint64_t scratch_bytes(const DenseWeightGrad<Bf16>&, const Device&);

uint64_t flat_sum_bytes(int64_t n) {
  return aligned_bytes(4 * static_cast<uint64_t>(choose_flat_sum(n).blocks));
}

}  // namespace diabolo::kernels::cuda
