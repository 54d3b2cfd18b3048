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

  // The epilogue sees the tile in slabs: one row of fragments of every warp.
  static constexpr int kSlabs = kFragsM;
  static constexpr int kSlabRows = kWarpsM * 16;
  GPU_VERB static int tile_row(int slab, int row) {
    return row / 16 * kWarpM + slab * 16 + row % 16;
  }

  MmaC acc[kFragsM][kFragsN];

  GPU_VERB void clear() {
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
      for (int i = 0; i < kFragsM; ++i) load_a(a[i], a_tile, first_row() + i * 16, step);
#pragma unroll
      for (int j = 0; j < kFragsN; j += 2)
        load_b(b[j], b[j + 1], b_tile, first_column() + j * 8, step);
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

  // Rows row ... row + 15 of A, k step `step`.
  GPU_VERB static void load_a(MmaA& a, const unsigned char* tile, int row, int step) {
    const int lane = static_cast<int>(lane_id());
    if constexpr (kAlongA == Along::kDepth) {
      ldmatrix<4, false>(a.r, tile + TileA::chunk_at(row + lane % 16, 2 * step + lane / 16));
      round_to_tf32(a.r);
    } else if constexpr (!kTf32) {
      const int k = step * 16 + lane % 8 + lane / 16 * 8;
      ldmatrix<4, true>(a.r, tile + TileA::chunk_at(k, row / 8 + lane / 8 % 2));
    } else {
      const int k = step * 8 + lane % 4;
      const int m = row + lane / 4;
      a.r[0] = tf32_at(tile + TileA::element_at(k, m));
      a.r[1] = tf32_at(tile + TileA::element_at(k, m + 8));
      a.r[2] = tf32_at(tile + TileA::element_at(k + 4, m));
      a.r[3] = tf32_at(tile + TileA::element_at(k + 4, m + 8));
    }
  }

  // Columns column ... column + 15 of B (two fragments), k step `step`.
  GPU_VERB static void load_b(MmaB& b0, MmaB& b1, const unsigned char* tile, int column, int step) {
    const int lane = static_cast<int>(lane_id());
    std::uint32_t r[4];
    if constexpr (kAlongB == Along::kDepth) {
      const int n = column + lane % 8 + lane / 16 * 8;
      ldmatrix<4, false>(r, tile + TileB::chunk_at(n, 2 * step + lane / 8 % 2));
      round_to_tf32(r);
    } else if constexpr (!kTf32) {
      const int k = step * 16 + lane % 16;
      ldmatrix<4, true>(r, tile + TileB::chunk_at(k, column / 8 + lane / 16));
    } else {
      const int k = step * 8 + lane % 4;
      const int n = column + lane / 4;
      r[0] = tf32_at(tile + TileB::element_at(k, n));
      r[1] = tf32_at(tile + TileB::element_at(k + 4, n));
      r[2] = tf32_at(tile + TileB::element_at(k, n + 8));
      r[3] = tf32_at(tile + TileB::element_at(k + 4, n + 8));
    }
    b0 = {{r[0], r[1]}};
    b1 = {{r[2], r[3]}};
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
