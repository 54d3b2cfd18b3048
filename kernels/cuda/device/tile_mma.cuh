// The inner part of a tile product by mma.sync: bf16 with k16 steps, or f32 rounded to tf32 with k8
// steps. Both steps are two 16-byte chunks deep, so operands that lie along k share the code.
//
// kM x kN is cut into kWarpsM x kWarpsN warp tiles, each of fragments of 16 x 8. The sum of one
// element runs over k in ascending steps whatever the tile, so every tile gives the same bits.
#pragma once

#include "kernels/common/scalar.h"
#include "kernels/cuda/device/mma.cuh"
#include "kernels/cuda/device/sync.cuh"
#include "kernels/cuda/device/tile_layout.h"

namespace diabolo::kernels::gpu {

template <class T, int kM_, int kN_, int kK_, int kWarpsM, int kWarpsN, Along kAlongA,
          Along kAlongB>
struct MmaLoop {
  static constexpr int kM = kM_, kN = kN_, kK = kK_;
  static constexpr bool kTf32 = sizeof(T) == 4;
  static constexpr int kStep = kTf32 ? 8 : 16;
  static constexpr int kThreads = kWarpsM * kWarpsN * static_cast<int>(kWarp);
  static constexpr int kWarpM = kM / kWarpsM, kWarpN = kN / kWarpsN;
  static constexpr int kFragsM = kWarpM / 16, kFragsN = kWarpN / 8;
  static_assert(kWarpM % 16 == 0 && kWarpN % 16 == 0 && kK % kStep == 0);

  using Element = T;
  using TileA = StagedTile<sizeof(T), kM, kK, kAlongA>;
  using TileB = StagedTile<sizeof(T), kN, kK, kAlongB>;

  // Fragments are fetched 16 rows (columns) and one step of k at a time. Along k the swizzle tells
  // the steps apart, along the width the fragments; the other index adds a constant.
  static constexpr int kPlacesA = kAlongA == Along::kDepth ? kK / kStep : kFragsM;
  static constexpr int kPlacesB = kAlongB == Along::kDepth ? kK / kStep : kFragsN / 2;

  // The epilogue sees the tile in slabs: one row of fragments of every warp.
  static constexpr int kSlabs = kFragsM;
  static constexpr int kSlabRows = kWarpsM * 16;
  GPU_VERB static int tile_row(int slab, int row) {
    return row / 16 * kWarpM + slab * 16 + row % 16;
  }

  MmaC acc[kFragsM][kFragsN];
  // Where this lane's rows of fragments lie in a staged tile, as far as that does not follow from
  // these by adding a constant.
  int place_a[kPlacesA], place_b[kPlacesB];

  GPU_VERB void clear() {
#pragma unroll
    for (int p = 0; p < kPlacesA; ++p) place_a[p] = first_place<true, TileA>(first_row(), p);
#pragma unroll
    for (int p = 0; p < kPlacesB; ++p) place_b[p] = first_place<false, TileB>(first_column(), p);
#pragma unroll
    for (int i = 0; i < kFragsM; ++i) {
#pragma unroll
      for (int j = 0; j < kFragsN; ++j) acc[i][j] = {{0, 0, 0, 0}};
    }
  }

  // acc += A * B for one staged pair of tiles.
  GPU_VERB void multiply(const unsigned char* a_tile, const unsigned char* b_tile) {
#pragma unroll
    for (int step = 0; step < kK / kStep; ++step) {
      MmaA a[kFragsM];
      MmaB b[kFragsN];
#pragma unroll
      for (int i = 0; i < kFragsM; ++i) load_a(a[i], a_tile, i, step);
#pragma unroll
      for (int j = 0; j < kFragsN; j += 2) load_b(b[j], b[j + 1], b_tile, j / 2, step);
#pragma unroll
      for (int i = 0; i < kFragsM; ++i) {
#pragma unroll
        for (int j = 0; j < kFragsN; ++j) {
          if constexpr (kTf32) {
            mma_tf32(acc[i][j], a[i], b[j]);
          } else {
            mma_bf16(acc[i][j], a[i], b[j]);
          }
        }
      }
    }
  }

  // Writes fragment row `slab` to out[kSlabRows][pitch] in shared memory.
  GPU_VERB void write_slab(int slab, float* out, int pitch) const {
    const int lane = static_cast<int>(lane_id());
    float* row =
        out + (warp_row() * 16 + mma_c_row(lane, 0)) * pitch + first_column() + mma_c_col(lane, 0);
#pragma unroll
    for (int i = 0; i < kFragsM; ++i) {
      if (i != slab) continue;  // keeps the indices of acc constant
#pragma unroll
      for (int j = 0; j < kFragsN; ++j) {
#pragma unroll
        for (int r = 0; r < 4; ++r)
          row[mma_c_row(0, r) * pitch + j * 8 + mma_c_col(0, r)] = acc[i][j].r[r];
      }
    }
  }

 private:
  GPU_VERB static int warp_row() {
    return static_cast<int>(warp_id()) / kWarpsN;
  }
  GPU_VERB static int first_row() {
    return warp_row() * kWarpM;
  }
  GPU_VERB static int first_column() {
    return static_cast<int>(warp_id()) % kWarpsN * kWarpN;
  }

  GPU_VERB static std::uint32_t tf32_at(const unsigned char* at) {
    return to_tf32(*reinterpret_cast<const float*>(at));
  }

  // Offset of what this lane reads first for place `p` of an operand whose warp tile starts at
  // `first`: the 16-byte row that it gives ldmatrix, or a float. The 8 x 8 matrices of A follow
  // each other along the width first, those of B along k.
  template <bool kIsA, class Tile>
  GPU_VERB static int first_place(int first, int p) {
    const int lane = static_cast<int>(lane_id());
    const int wide = kIsA ? lane / 8 % 2 : lane / 16;
    const int deep = kIsA ? lane / 16 : lane / 8 % 2;
    if constexpr (Tile::kDirection == Along::kDepth) {
      return Tile::chunk_at(first + lane % 8 + wide * 8, 2 * p + deep);
    } else if constexpr (!kTf32) {
      return Tile::chunk_at(lane % 8 + deep * 8, first / 8 + 2 * p + wide);
    } else {
      return Tile::element_at(lane % 4, first + 16 * p + lane / 4);
    }
  }

  // The 16 rows (columns) of fragment (pair of fragments) `i`, k step `step`: registers in the
  // order of the 8 x 8 matrices above.
  template <class Tile, int kPlaces>
  GPU_VERB static void fetch(std::uint32_t (&r)[4], const unsigned char* tile,
                             const int (&places)[kPlaces], int i, int step) {
    constexpr int kRowBytes = Tile::kRowChunks * kChunkBytes;
    if constexpr (Tile::kDirection == Along::kDepth) {
      ldmatrix<4, false>(r, tile + places[step] + i * 16 * kRowBytes);
      round_to_tf32(r);
    } else if constexpr (!kTf32) {
      ldmatrix<4, true>(r, tile + places[i] + step * kStep * kRowBytes);
    } else {
      // Eight columns further is two chunks, where the swizzle is: a bit, not a sum.
      const unsigned char* row = tile + step * kStep * kRowBytes;
      const int near = places[i], far = places[i] ^ 2 * kChunkBytes;
      r[0] = tf32_at(row + near);
      r[1] = tf32_at(row + far);
      r[2] = tf32_at(row + near + 4 * kRowBytes);
      r[3] = tf32_at(row + far + 4 * kRowBytes);
    }
  }

  GPU_VERB void load_a(MmaA& a, const unsigned char* tile, int i, int step) const {
    fetch<TileA>(a.r, tile, place_a, i, step);
  }

  GPU_VERB void load_b(MmaB& b0, MmaB& b1, const unsigned char* tile, int pair, int step) const {
    std::uint32_t r[4];
    fetch<TileB>(r, tile, place_b, pair, step);
    if constexpr (kTf32 && kAlongB == Along::kWidth) {  // as A's: along the width first
      b0 = {{r[0], r[2]}};
      b1 = {{r[1], r[3]}};
    } else {
      b0 = {{r[0], r[1]}};
      b1 = {{r[2], r[3]}};
    }
  }

  // What ldmatrix fetched as words are floats: round them, since mma would cut them off.
  GPU_VERB static void round_to_tf32(std::uint32_t (&r)[4]) {
    if constexpr (kTf32) {
#pragma unroll
      for (int i = 0; i < 4; ++i) r[i] = to_tf32(bit_cast<float>(r[i]));
    }
  }
};

}  // namespace diabolo::kernels::gpu
