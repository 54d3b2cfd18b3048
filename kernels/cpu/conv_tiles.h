// The sums of a convolution of floats, without groups, by own loops over tiles of cells and
// channels: what taps read is multiplied where it lies, and not copied into patches first.
#pragma once

#include "kernels/cpu/conv_gather.h"

namespace diabolo::kernels::cpu {

// Floats of a gather's weights as tile_sums reads them.
int64_t tile_weight_elems(Isa isa, const Gather& g, const Channels& n);

// Packs the weights of a tap; that of tap 0 writes also what taps beside the source read.
void pack_tile_tap(Isa isa, const Conv2dShape& s, bool to_image, const Gather& g, int64_t tap,
                   const float* weight, float* packed);

// sums [count, N] of the cells from `first`, plus the bias where there is one. A sum is one chain
// of multiply-adds over taps and channels, whatever cells are beside it. What is beside the source
// is 0, and multiplied: by an infinite weight it is a NaN, which the reference, that skips it, has
// not.
void tile_sums(Isa isa, const Gather& g, const Channels& n, const float* source,
               const float* packed, const float* bias, int64_t first, int64_t count, float* sums);

// Cells of one call of tile_weight_sums at most, and floats of its scratch for each, which hold
// channels of the grid that do not fill a vector.
inline constexpr int64_t kTileCells = 1024;
int64_t tile_weight_scratch(Isa isa, int64_t O);

// sums [taps, C, O] of the taps of a range = image^T grid over the cells from `first`, or grow by
// that. grid [cells, O].
struct TileWeights {
  const Gather& gather;
  int64_t O;
  const float* image;
  const float* grid;
  float* scratch;
  float* sums;
};
void tile_weight_sums(Isa isa, const TileWeights& of, int64_t first_tap, int64_t last_tap,
                      int64_t first, int64_t count, bool adds);

}  // namespace diabolo::kernels::cpu
