// The tiles of a chain of layers: a block takes kM rows through all of them.
#pragma once

#include "kernels/cuda/choose.h"
#include "kernels/dense_chain.h"

namespace diabolo::kernels::cuda {

// Rows of a tile, the widest layer it has room for, depth of a staged weight, threads, stages, and
// how many blocks share a multiprocessor where its shared memory has room for them: nvcc is held to
// that.
struct ChainTile {
  int m, n, depth, threads, stages, resident;
  friend constexpr bool operator==(const ChainTile&, const ChainTile&) = default;
};
inline constexpr ChainTile kBf16ChainTiles[] = {{32, 64, 32, 128, 4, 5},
                                                {64, 64, 32, 128, 3, 4},
                                                {32, 128, 32, 128, 4, 3},
                                                {64, 128, 32, 256, 3, 2},
                                                {64, 256, 32, 256, 3, 1}};
// Of f32 and tf32.
inline constexpr ChainTile kFloatChainTiles[] = {
    {32, 64, 32, 128, 3, 4}, {32, 128, 32, 256, 3, 2}, {32, 256, 32, 256, 2, 1}};
inline constexpr int kMostChainWidth = 256;

// Shared memory: the rows' values of one layer, and the stages of its weight.
constexpr int chain_bytes(const ChainTile& tile, int elem_bytes) {
  return (tile.m + tile.stages * tile.depth) * tile.n * elem_bytes;
}

// The one that takes the fewest cycles, of those that have room for `width`.
struct ChainChoice {
  ChainTile tile;
  double cycles;
};
template <class T>
ChainChoice choose_chain(const DenseChain<T>& chain, const Device& device);

}  // namespace diabolo::kernels::cuda
