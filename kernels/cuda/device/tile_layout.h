// Where the elements of a staged operand tile lie in shared memory. Pure index maps, host and
// device.
//
// A tile keeps the orientation that its matrix has in memory: `outer` rows of `inner` contiguous
// elements, in chunks of 16 bytes. Chunk c of row r lies at chunk c ^ f(r) of the row (a swizzle),
// so that the eight rows that one ldmatrix phase reads, or the lanes of one load, touch different
// banks.
#pragma once

#include <cstdint>

#include "kernels/common/hd.h"

namespace diabolo::kernels::gpu {

inline constexpr int kChunkBytes = 16;

// Which index of the product C[m,n] = sum_k A[m,k] B[k,n] runs along the rows of an operand in
// memory.
enum class Along { kDepth, kWidth };  // k, or (m for A, n for B)

// kElemBytes 2 or 4; kWidth: extent in m or n; kDepth: extent in k.
template <int kElemBytes, int kWidth, int kDepth, Along kAlong>
struct StagedTile {
  static constexpr Along kDirection = kAlong;
  static constexpr int kWide = kWidth, kDeep = kDepth;
  static constexpr int kChunkElems = kChunkBytes / kElemBytes;
  static constexpr int kOuter = kAlong == Along::kDepth ? kWidth : kDepth;
  static constexpr int kInner = kAlong == Along::kDepth ? kDepth : kWidth;
  static constexpr int kRowChunks = kInner / kChunkElems;
  static constexpr int kChunks = kOuter * kRowChunks;
  static constexpr int kBytes = kChunks * kChunkBytes;
  static_assert(kInner % kChunkElems == 0 && kRowChunks >= 4 &&
                (kRowChunks & (kRowChunks - 1)) == 0);

  // Floats along the width are read four lanes (k) by eight (m or n) at a time, two neighbouring
  // chunks per k: shift the rows by two chunks. Everything else is read by eight rows at one chunk;
  // rows of 64 bytes share a 128-byte line with their neighbour.
  static constexpr bool kIsFloatsWide = kElemBytes == 4 && kAlong == Along::kWidth;
  static constexpr int kSwizzleRows = kIsFloatsWide ? 4 : 8;  // it repeats after so many
  DIABOLO_HD static constexpr int swizzle(int row) {
    if (kIsFloatsWide) return (row & 3) * 2;
    return kRowChunks >= 8 ? row & 7 : (row >> 1) & 3;
  }

  // Byte offset of a chunk within the tile.
  DIABOLO_HD static constexpr int chunk_at(int row, int chunk) {
    return (row * kRowChunks + (chunk ^ swizzle(row))) * kChunkBytes;
  }

  // Byte offset of an element.
  DIABOLO_HD static constexpr int element_at(int row, int column) {
    return chunk_at(row, column / kChunkElems) + column % kChunkElems * kElemBytes;
  }
};

}  // namespace diabolo::kernels::gpu
