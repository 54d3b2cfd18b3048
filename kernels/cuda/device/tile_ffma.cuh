// The inner part of a tile product in f32 on the plain arithmetic units: each thread sums a small
// grid of elements. The sum of one element runs over k one by one, ascending, with fused
// multiply-adds, so every tile gives the same bits.
#pragma once

#include "kernels/cuda/device/sync.cuh"
#include "kernels/cuda/device/tile_layout.h"
#include "kernels/cuda/device/vector.cuh"

namespace diabolo::kernels::gpu {

GPU_VERB float fused_multiply_add(float a, float b, float c) {
#if defined(DIABOLO_CUDA_HOST)
  return a * b + c;
#else
  return fmaf(a, b, c);
#endif
}

// kThreadsM x kThreadsN threads; thread (tm, tn) owns kM / kThreadsM rows and kN / kThreadsN
// columns.
template <int kM_, int kN_, int kK_, int kThreadsM, int kThreadsN, Along kAlongA, Along kAlongB>
struct FfmaLoop {
  static constexpr int kM = kM_, kN = kN_, kK = kK_;
  static constexpr int kThreads = kThreadsM * kThreadsN;
  static constexpr int kRows = kM / kThreadsM, kColumns = kN / kThreadsN;
  static_assert(kRows % 4 == 0 && kColumns % 4 == 0 && kK % 4 == 0 && kThreads % 32 == 0);

  using Element = float;
  using TileA = StagedTile<4, kM, kK, kAlongA>;
  using TileB = StagedTile<4, kN, kK, kAlongB>;

  // Element i of the thread at `at` of `threads`: interleaved where it reads along k (neighbouring
  // threads then read neighbouring rows), in fours where it reads along the width.
  template <Along kAlong>
  GPU_VERB static int position(int threads, int at, int i) {
    return kAlong == Along::kDepth ? at + threads * i : 4 * at + i % 4 + 4 * threads * (i / 4);
  }

  static constexpr int kSlabs = kRows;
  static constexpr int kSlabRows = kThreadsM;
  GPU_VERB static int tile_row(int slab, int row) {
    return position<kAlongA>(kThreadsM, row, slab);
  }

  float acc[kRows][kColumns];

  GPU_VERB void clear() {
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
#pragma unroll
      for (int j = 0; j < kColumns; ++j) acc[i][j] = 0;
    }
  }

  GPU_VERB void multiply(const unsigned char* a_tile, const unsigned char* b_tile) {
#pragma unroll
    for (int k = 0; k < kK; k += 4) {
      float a[4][kRows];
      float b[4][kColumns];
      load<TileA, kAlongA, kThreadsM>(a, a_tile, thread_m(), k);
      load<TileB, kAlongB, kThreadsN>(b, b_tile, thread_n(), k);
#pragma unroll
      for (int d = 0; d < 4; ++d) {
#pragma unroll
        for (int i = 0; i < kRows; ++i) {
#pragma unroll
          for (int j = 0; j < kColumns; ++j) {
            acc[i][j] = fused_multiply_add(a[d][i], b[d][j], acc[i][j]);
          }
        }
      }
    }
  }

  GPU_VERB void write_slab(int slab, float* out, int pitch) const {
    float* row = out + thread_m() * pitch;
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      if (i != slab) continue;  // keeps the indices of acc constant
#pragma unroll
      for (int j = 0; j < kColumns; ++j)
        row[position<kAlongB>(kThreadsN, thread_n(), j)] = acc[i][j];
    }
  }

 private:
  GPU_VERB static int thread_m() {
    return static_cast<int>(threadIdx.x) / kThreadsN;
  }
  GPU_VERB static int thread_n() {
    return static_cast<int>(threadIdx.x) % kThreadsN;
  }

  // The thread's elements of four k's, by 16-byte loads along whichever index is contiguous.
  template <class Tile, Along kAlong, int kThreadsOfIt, int kCount>
  GPU_VERB static void load(float (&values)[4][kCount], const unsigned char* tile, int at, int k) {
    if constexpr (kAlong == Along::kDepth) {
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        const auto quad = gpu::load<16>(tile + Tile::chunk_at(at + kThreadsOfIt * i, k / 4));
#pragma unroll
        for (int d = 0; d < 4; ++d) values[d][i] = bit_cast<float>(quad.word[d]);
      }
    } else {
#pragma unroll
      for (int d = 0; d < 4; ++d) {
#pragma unroll
        for (int i = 0; i < kCount; i += 4) {
          const auto quad =
              gpu::load<16>(tile + Tile::chunk_at(k + d, at + kThreadsOfIt * (i / 4)));
#pragma unroll
          for (int e = 0; e < 4; ++e) values[d][i + e] = bit_cast<float>(quad.word[e]);
        }
      }
    }
  }
};

}  // namespace diabolo::kernels::gpu
