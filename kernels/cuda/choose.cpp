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

struct TileCosts {
  double shared_bytes;  // of bf16 through shared memory for a row of k: staging in, fragments out
  double wait;  // cycles a row of k that the way from memory takes with all stages in flight
  double ffma;  // how many times longer barriers and loads make the fused multiply-adds
};
constexpr TileCosts kTileCosts[] = {
    {2816, 11, 1.0}, {2048, 11, 1.0}, {1152, 8, 1.0}, {768, 7.5, 1.1}, {384, 4, 1.4}};

// Of the forward product, by math and tile: blocks of a multiprocessor where its shared memory has
// room, by sass_budget.txt; and what a tile takes of that.
constexpr int kResident[3][5] = {{1, 1, 1, 4, 6}, {1, 2, 1, 1, 6}, {1, 2, 3, 5, 6}};
constexpr int64_t kTileBytes[] = {72 << 10, 48 << 10, 48 << 10, 32 << 10, 32 << 10};

RowCosts row_costs(TileSize tile, ProductMath math) {
  const TileCosts& costs = kTileCosts[static_cast<int>(tile)];
  const auto [m, n] = extents(tile);
  const double elem = math == ProductMath::kBf16 ? 2 : 4;
  const double area = double{1} * m * n;
  const double computed =
      math == ProductMath::kF32 ? area / kFfmaRate * costs.ffma : area / (kBf16Rate * 2 / elem);
  return {costs.shared_bytes * elem / 2, (m + n) * elem, computed, costs.wait * elem / 2};
}

// True of a tall tile whose sum is too short for its ends.
bool is_short_of_tall(TileSize tile, int64_t depth, int64_t blocks, const Device& device) {
  return tile == TileSize::kTall && depth < kMinDepthOfTall && blocks > device.multiprocessors;
}

// A way to cut a product up, and what its blocks take.
struct Cut {
  TileSize tile;
  int64_t splits, depth;
  int64_t blocks;
  double cycles = 0;  // of one block

  double all_cycles() const { return static_cast<double>(blocks) * cycles; }
};

Cut cut(const GemmShape& shape, TileSize tile, int64_t splits, int64_t depth) {
  return {tile, splits, depth, tile_count(shape.m, shape.n, tile) * splits};
}

// `busy`: multiprocessors.
double block_cycles(const Cut& cut, ProductMath math, double busy) {
  const double area = double{1} * extents(cut.tile).m * extents(cut.tile).n;
  const double cycles =
      static_cast<double>(cut.depth) * row_cycles(row_costs(cut.tile, math), 1, busy) +
      kTileCycles + kElementCycles * area;
  return cut.splits > 1 ? cycles + 4 * area / (kAllCacheRate / busy) : cycles;
}

double busy_at(int64_t blocks, const Device& device) {
  return static_cast<double>(std::min<int64_t>(blocks, device.multiprocessors));
}

// For adding parts up: a launch, unless their reader does it, and their way from the cache.
double adding_cycles(const GemmShape& shape, int64_t splits, bool leaves_parts) {
  if (splits == 1) return 0;
  const double bytes = 4.0 * static_cast<double>(splits) * static_cast<double>(shape.m) *
                       static_cast<double>(shape.n);
  return (leaves_parts ? 0 : kLaunchCycles) + bytes / kAllCacheRate;
}

double cycles_alone(const GemmShape& shape, const Cut& cut, bool leaves_parts, ProductMath math,
                    const Device& device) {
  const auto waves = static_cast<double>(ceil_div(cut.blocks, device.multiprocessors));
  return waves * block_cycles(cut, math, busy_at(cut.blocks, device)) +
         adding_cycles(shape, cut.splits, leaves_parts);
}

// Two products' blocks in one launch, the longer ones first: in several waves the last
// is half full of the shorter.
double cycles_joined(const GemmShape& shape, Cut weight, Cut data, bool leaves_parts,
                     ProductMath math, const Device& device) {
  const double busy = busy_at(weight.blocks + data.blocks, device);
  weight.cycles = block_cycles(weight, math, busy);
  data.cycles = block_cycles(data, math, busy);
  const auto [shorter, longer] = std::minmax(weight.cycles, data.cycles);
  const bool is_one_wave = weight.blocks + data.blocks <= device.multiprocessors;
  const double all = (weight.all_cycles() + data.all_cycles()) / busy;
  return (is_one_wave ? longer : std::max(longer, all + shorter / 2)) +
         adding_cycles(shape, weight.splits, leaves_parts);
}

struct Best {
  ProductChoice choice{};
  double cycles = std::numeric_limits<double>::infinity();
};

// Calls cycles_of(cut) for every way that is built and takes it that gives the fewest.
template <class CyclesOf>
Best fewest_cycles(const GemmShape& shape, TileSet set, ProductMath math, const Device& device,
                   int64_t most_splits, CyclesOf&& cycles_of) {
  const int64_t least = most_splits > 1 ? ceil_div(shape.k, kMaxDepth) : 1;
  const int64_t most = std::clamp(shape.k / kMinDepthOfSplit, least, std::max(most_splits, least));
  Best best;
  for (const TileSize tile : kTileSizes) {
    if (!has_tile(set, math, tile)) continue;
    for (int64_t wanted = least; wanted <= most; ++wanted) {
      const int64_t whole = ceil_div(ceil_div(shape.k, wanted), kSplitDepth) * kSplitDepth;
      const int64_t depth = wanted == 1 ? shape.k : whole;
      const Cut here = cut(shape, tile, ceil_div(shape.k, depth), depth);
      if (is_short_of_tall(tile, depth, here.blocks, device)) continue;
      const double cycles = cycles_of(here);
      if (cycles < best.cycles) best = {{tile, here.splits, depth}, cycles};
    }
  }
  return best;
}

Best best_alone(const GemmShape& shape, TileSet set, ProductMath math, const Device& device,
                int64_t most_splits, bool leaves_parts) {
  return fewest_cycles(shape, set, math, device, most_splits, [&](const Cut& here) {
    return cycles_alone(shape, here, leaves_parts, math, device);
  });
}

Best best_joined(const DenseShape& s, ProductMath math, const Device& device, bool leaves_parts) {
  const GemmShape weight = weight_grad_shape(s), data{s.B, s.I, s.O};
  return fewest_cycles(weight, TileSet::kAll, math, device, kMaxSplits, [&](const Cut& here) {
    const Cut beside = cut(data, here.tile, 1, data.k);
    const int64_t depth = std::min(here.depth, beside.depth);
    if (is_short_of_tall(here.tile, depth, here.blocks + beside.blocks, device))
      return std::numeric_limits<double>::infinity();
    return cycles_joined(weight, here, beside, leaves_parts, math, device);
  });
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
                             const Device& device) {
  return best_alone(shape, set, math, device, 1, false).choice;
}

double side_by_side_cycles(const GemmShape& shape, TileSize tile, ProductMath math,
                           const Device& device) {
  const int64_t blocks = tile_count(shape.m, shape.n, tile);
  const auto busy = static_cast<double>(std::min<int64_t>(blocks, device.multiprocessors));
  const double elements = double{1} * extents(tile).m * extents(tile).n;
  const RowCosts row = row_costs(tile, math);
  return waves_cycles(ceil_div(blocks, device.multiprocessors),
                      resident_blocks(kResident[static_cast<int>(math)][static_cast<int>(tile)],
                                      kTileBytes[static_cast<int>(tile)], device),
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

GemmShape weight_grad_shape(const DenseShape& s) {
  return s.weight_transposed ? GemmShape{s.O, s.I, s.B} : GemmShape{s.I, s.O, s.B};
}

ProductChoice choose_weight_grad(const DenseShape& s, ProductMath math, const Device& device,
                                 bool leaves_parts) {
  return best_alone(weight_grad_shape(s), TileSet::kAll, math, device, kMaxSplits, leaves_parts)
      .choice;
}

ProductChoice choose_dense_grads(const DenseShape& s, ProductMath math, const Device& device,
                                 bool leaves_parts) {
  return best_joined(s, math, device, leaves_parts).choice;
}

bool dense_grads_pay(const DenseShape& s, ProductMath math, const Device& device,
                     bool leaves_parts) {
  if (math == ProductMath::kTf32) return false;
  const Best joined = best_joined(s, math, device, leaves_parts);
  const GemmShape shape = weight_grad_shape(s);
  const TileSize tile = joined.choice.tile;
  const int64_t of_weight = tile_count(shape.m, shape.n, tile) * joined.choice.splits;
  if (tile_count(s.B, s.I, tile) + of_weight > kMaxBlocks) return false;
  const TileSet all = TileSet::kAll;
  const double weight = best_alone(shape, all, math, device, kMaxSplits, leaves_parts).cycles;
  const double data = best_alone({s.B, s.I, s.O}, all, math, device, 1, false).cycles;
  return joined.cycles < weight + kLaunchCycles + data;
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
  const ProductChoice choice = choice_of(p, device);
  if (choice.splits == 1) return 0;
  const uint64_t bias = p.d_bias ? 4 * static_cast<uint64_t>(choice.splits * p.shape.O) : 0;
  return weight_part_bytes(p.shape, choice) + aligned_bytes(bias);
}
template uint64_t scratch_bytes(const DenseWeightGrad<float>&, const Device&);
template uint64_t scratch_bytes(const DenseWeightGrad<Bf16>&, const Device&);

template <class T>
std::vector<Parts> parts(const DenseWeightGrad<T>& p, const Device& device, void* scratch) {
  const ProductChoice choice = choice_of(p, device);
  if (choice.splits == 1) return {};
  const DenseShape& s = p.shape;
  const auto* weight = static_cast<const float*>(scratch);
  std::vector<Parts> all = {{p.d_weight, weight, s.I * s.O, choice.splits}};
  if (p.d_bias)
    all.push_back({p.d_bias, weight + weight_part_bytes(s, choice) / 4, s.O, choice.splits});
  return all;
}
template std::vector<Parts> parts(const DenseWeightGrad<float>&, const Device&, void*);
template std::vector<Parts> parts(const DenseWeightGrad<Bf16>&, const Device&, void*);

// Of one dz, by the shapes: the steps of a graph stand so.
template <class T>
bool joins(const DenseWeightGrad<T>& weight, const DenseDataGrad<T>& data, const Device& device) {
  const DenseShape &a = weight.shape, &b = data.shape;
  const bool is_one_layer =
      a.B == b.B && a.I == b.I && a.O == b.O && a.weight_transposed == b.weight_transposed;
  return is_one_layer && dense_grads_pay(a, product_math<T>(device), device, weight.leaves_parts);
}
template bool joins(const DenseWeightGrad<float>&, const DenseDataGrad<float>&, const Device&);
template bool joins(const DenseWeightGrad<Bf16>&, const DenseDataGrad<Bf16>&, const Device&);

uint64_t flat_sum_bytes(int64_t n) {
  return aligned_bytes(4 * static_cast<uint64_t>(choose_flat_sum(n).blocks));
}

}  // namespace diabolo::kernels::cuda
