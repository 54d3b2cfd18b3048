// What a chain of layers refuses, which tile it takes, and when it pays. Arithmetic, not measured.
#include <algorithm>
#include <limits>
#include <span>

#include "kernels/cuda/chain_tiles.h"
#include "kernels/cuda/rates.h"

namespace diabolo::kernels::cuda {
namespace {

// Barriers and loads make the fused multiply-adds longer by that, as in a medium tile.
constexpr double kFfmaShare = 1 / 1.1;
// A chain must look so much quicker than its layers: what is counted of both is arithmetic.
constexpr double kMargin = 1.15;

template <class T>
int64_t widest(const DenseChain<T>& p) {
  int64_t width = p.I;
  for (int k = 0; k < p.layers; ++k) width = std::max(width, p.layer[k].O);
  return width;
}

template <class T>
std::span<const ChainTile> tiles_of() {
  if constexpr (sizeof(T) == 2) return kBf16ChainTiles;
  return kFloatChainTiles;
}

// A block's rows lie in shared memory: weights alone are staged.
RowCosts row_costs(const ChainTile& tile, double elem, ProductMath math) {
  const int warps_n = tile.threads / 64;
  const double area = double{1} * tile.m * tile.n;
  const double computed =
      math == ProductMath::kF32 ? area / (kFfmaRate * kFfmaShare) : area / (kBf16Rate * 2 / elem);
  return {(3.0 * tile.n + tile.m * warps_n) * elem, tile.n * elem, computed,
          kCopyCycles / ((tile.stages - 1) * tile.depth)};
}

// Of launches that read and write so many rows of `elems` elements.
double memory_cycles(int64_t rows, int64_t elems, double elem) {
  return static_cast<double>(rows) * static_cast<double>(elems) * elem / kMemoryRate;
}

template <class T>
double chain_cycles(const DenseChain<T>& p, const ChainTile& tile, const Device& device) {
  const int64_t blocks = ceil_div(p.B, tile.m);
  const auto busy = static_cast<double>(std::min<int64_t>(blocks, device.multiprocessors));
  const RowCosts row = row_costs(tile, sizeof(T), product_math<T>(device));
  // The rows come once; a layer ends as a tile does, with rows to shared memory in place of stores.
  const auto of_wave = [&](double resident) {
    double cycles = kCopyCycles;
    for (int k = 0; k < p.layers; ++k)
      cycles += static_cast<double>(ceil_div(p.shape(k).I, tile.depth) * tile.depth) *
                    row_cycles(row, resident, busy) +
                kTileCycles + resident * kElementCycles * tile.m * tile.n;
    return cycles;
  };
  const int64_t most = resident_blocks(tile.resident, chain_bytes(tile, sizeof(T)), device);
  const double computed = waves_cycles(ceil_div(blocks, device.multiprocessors), most, of_wave);
  const int64_t elems = p.I + p.layer[p.layers - 1].O;
  return std::max(computed, memory_cycles(p.B, elems, sizeof(T))) + kLaunchCycles;
}

template <class T>
double layer_cycles(const DenseChain<T>& p, int k, const Device& device) {
  const DenseShape s = p.shape(k);
  const GemmShape shape{s.B, s.O, s.I};
  const bool is_score = p.score != nullptr && k + 1 == p.layers;
  const ProductMath math = product_math<T>(device);
  const TileSize tile =
      is_score ? choose_score_tile(s.O) : choose_product(shape, TileSet::kAll, math, device).tile;
  return std::max(side_by_side_cycles(shape, tile, math, device),
                  memory_cycles(s.B, s.I + s.O, sizeof(T))) +
         (is_score ? 2 : 1) * kLaunchCycles;
}

}  // namespace

template <class T>
ChainChoice choose_chain(const DenseChain<T>& p, const Device& device) {
  ChainChoice best{{}, std::numeric_limits<double>::infinity()};
  for (const ChainTile& tile : tiles_of<T>()) {
    if (tile.n < widest(p)) continue;
    const double cycles = chain_cycles(p, tile, device);
    if (cycles < best.cycles) best = {tile, cycles};
  }
  return best;
}
template ChainChoice choose_chain(const DenseChain<float>&, const Device&);
template ChainChoice choose_chain(const DenseChain<Bf16>&, const Device&);

template <class T>
const char* refusal(const DenseChain<T>& p, const Device& device) {
  if (p.layers < 2 || p.layers > kMostChained) return "a chain has 2 to 7 layers";
  if (widest(p) > kMostChainWidth) return "a layer is wider than 256";
  for (int k = 0; k < p.layers; ++k) {
    if (p.layer[k].weight_transposed) return "a weight is stored transposed";
    if (const char* why_not = refuse_shape(p.shape(k), device)) return why_not;
  }
  const ChainTile tile = choose_chain(p, device).tile;
  if (chain_bytes(tile, sizeof(T)) > device.shared_bytes_per_block)
    return "a block has too little shared memory";
  return nullptr;
}
template const char* refusal(const DenseChain<float>&, const Device&);
template const char* refusal(const DenseChain<Bf16>&, const Device&);

template <class T>
bool chain_pays(const DenseChain<T>& p, const Device& device) {
  double layers = 0;
  for (int k = 0; k < p.layers; ++k) layers += layer_cycles(p, k, device);
  return choose_chain(p, device).cycles * kMargin < layers;
}
template bool chain_pays(const DenseChain<float>&, const Device&);
template bool chain_pays(const DenseChain<Bf16>&, const Device&);

}  // namespace diabolo::kernels::cuda
