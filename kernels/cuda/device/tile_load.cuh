// Staging one operand tile from global to shared memory.
#pragma once

#include "kernels/cuda/device/async_copy.cuh"
#include "kernels/cuda/device/tile_layout.h"
#include "kernels/cuda/device/vector.cuh"

namespace diabolo::kernels::gpu {

// A row-major matrix in global memory and the part of it that may be read.
struct Operand {
  const void* data = nullptr;
  std::int64_t outer = 0;  // rows
  std::int64_t inner = 0;  // elements of a row; rows follow each other without gaps
  // 16, 4 or 2: the widest copy that every row's alignment allows (2: element by element).
  int copy_bytes = 16;
};

// 16 bytes to shared memory of which `valid` come from `src`, by the copies that its alignment
// allows.
GPU_VERB void copy_chunk(unsigned char* dst, const unsigned char* src, int valid, int copy_bytes) {
  if (copy_bytes == 16) {
    cp_async<16>(dst, src, valid);
  } else if (copy_bytes == 4) {
    for (int at = 0; at < kChunkBytes; at += 4) {
      const bool is_inside = at < valid;
      cp_async<4>(dst + at, is_inside ? src + at : src, is_inside ? 4 : 0);
    }
  } else {
    for (int at = 0; at < kChunkBytes; at += 2) {
      const std::uint16_t element =
          at < valid ? *reinterpret_cast<const std::uint16_t*>(src + at) : std::uint16_t{0};
      *reinterpret_cast<std::uint16_t*>(dst + at) = element;
    }
  }
}

// Issues the copies of the tile whose first element is (first_outer, first_inner); what lies
// outside the operand becomes 0. All kThreads threads take part; neighbouring threads copy
// neighbouring chunks.
template <class Tile, class T, int kThreads>
GPU_VERB void stage_tile(unsigned char* shared, const Operand& operand, std::int64_t first_outer,
                         std::int64_t first_inner) {
  const auto* data = static_cast<const unsigned char*>(operand.data);
#pragma unroll
  for (int i = 0; i < (Tile::kChunks + kThreads - 1) / kThreads; ++i) {
    const int index = i * kThreads + static_cast<int>(threadIdx.x);
    if (Tile::kChunks % kThreads != 0 && index >= Tile::kChunks) break;
    const int row = index / Tile::kRowChunks;
    const int chunk = index % Tile::kRowChunks;
    const std::int64_t outer = first_outer + row;
    const std::int64_t inner = first_inner + chunk * Tile::kChunkElems;
    const std::int64_t left = outer < operand.outer ? operand.inner - inner : 0;
    const int valid =
        left <= 0 ? 0 : (left < Tile::kChunkElems ? static_cast<int>(left) : Tile::kChunkElems);
    const std::int64_t at = valid > 0 ? outer * operand.inner + inner : 0;
    copy_chunk(shared + Tile::chunk_at(row, chunk),
               data + at * static_cast<std::int64_t>(sizeof(T)),
               valid * static_cast<int>(sizeof(T)), operand.copy_bytes);
  }
}

}  // namespace diabolo::kernels::gpu
