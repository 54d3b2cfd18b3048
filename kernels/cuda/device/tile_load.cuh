// Staging operands from global to shared memory.
//
// What a product reads is an operand; a *loader* stages one of its tiles after another:
//
//   struct Operand {                      // travels with the launch, trivially copyable
//     bool is_wide() const;               // may be staged by Loader; the same in every block
//     template <class Tile, class T, int kThreads> struct Loader;        // one thread's state
//     template <class Tile, class T, int kThreads> struct NarrowLoader;  // for what is not wide;
//   };                                    // left out where every operand of the kind is wide
//   Loader(operand, first, k)             // the tile that starts at `first` along m (or n) and
//                                         // at k; what does not change along k is worked out here
//   void stage(unsigned char* shared)     // issues this thread's copies of the tile, then moves
//                                         // Tile::kDeep further along k
//
// Beyond the operand's depth a loader stages zeros. Rows beyond its width may hold anything that is
// there to read: they reach only outputs that nobody stores. A tile's threads all take part, at
// least one warp of them, and neighbouring threads copy neighbouring chunks.
#pragma once

#include "kernels/cuda/device/async_copy.cuh"
#include "kernels/cuda/device/tile_layout.h"
#include "kernels/cuda/device/vector.cuh"

namespace diabolo::kernels::gpu {

// Which chunks of a tile a thread copies: kCount, `kRowStep` rows apart at one place of a row, so
// that they have one swizzle and lie kBytesApart apart in shared memory.
template <class Tile, int kThreads>
struct ThreadChunks {
  static constexpr int kRowStep = kThreads / Tile::kRowChunks;
  static constexpr int kCount = Tile::kOuter / kRowStep;
  static constexpr int kBytesApart = kRowStep * Tile::kRowChunks * kChunkBytes;
  static_assert(kThreads % Tile::kRowChunks == 0 && Tile::kOuter % kRowStep == 0);
  static_assert(kRowStep % Tile::kSwizzleRows == 0, "rows of a thread have one swizzle");

  GPU_VERB static int row() { return static_cast<int>(threadIdx.x) / Tile::kRowChunks; }
  GPU_VERB static int chunk() { return static_cast<int>(threadIdx.x) % Tile::kRowChunks; }
};

// A row-major matrix in global memory whose rows are multiples of 16 bytes: whole chunks.
template <class Tile, class T, int kThreads>
struct MatrixLoader {
  using Mine = ThreadChunks<Tile, kThreads>;
  static constexpr bool kIsDeep = Tile::kDirection == Along::kDepth;

  template <class Operand>
  GPU_VERB MatrixLoader(const Operand& matrix, std::int64_t first, std::int64_t k) {
    place = Tile::chunk_at(Mine::row(), Mine::chunk());
    const std::int64_t in_row = Mine::chunk() * Tile::kChunkElems;
    const std::int64_t deep = kIsDeep ? k + in_row : k + Mine::row();
    const std::int64_t left_of_it = (kIsDeep ? matrix.inner : matrix.outer) - deep;
    left = left_of_it < 0x7FFFFFFF ? static_cast<int>(left_of_it) : 0x7FFFFFFF;
    bytes_a_step = Tile::kDeep * (kIsDeep ? 1 : matrix.inner) * std::int64_t{sizeof(T)};
    const auto* data = static_cast<const unsigned char*>(matrix.data);
#pragma unroll
    for (int i = 0; i < Mine::kCount; ++i) {
      const int row = Mine::row() + i * Mine::kRowStep;
      std::int64_t outer = kIsDeep ? first + row : k + row;
      std::int64_t inner = kIsDeep ? deep : first + in_row;
      if (kIsDeep && outer >= matrix.outer) outer = 0;
      if (!kIsDeep && inner >= matrix.inner) inner = 0;
      source[i] = data + (outer * matrix.inner + inner) * std::int64_t{sizeof(T)};
    }
  }

  GPU_VERB void stage(unsigned char* shared) {
#pragma unroll
    for (int i = 0; i < Mine::kCount; ++i) {
      const bool is_inside = left > (kIsDeep ? 0 : i * Mine::kRowStep);
      cp_async<kChunkBytes>(shared + place + i * Mine::kBytesApart, source[i],
                            is_inside ? kChunkBytes : 0);
      source[i] += bytes_a_step;
    }
    left -= Tile::kDeep;
  }

  const unsigned char* source[Mine::kCount];
  std::int64_t bytes_a_step;
  int place;  // of the first chunk in a tile
  int left;   // along k, from the first chunk on
};

// 16 bytes to shared memory of which `valid` come from `src`, by copies of 4 bytes, or (bf16, odd
// width) element by element.
GPU_VERB void copy_in_parts(unsigned char* dst, const unsigned char* src, int valid,
                            int copy_bytes) {
  if (copy_bytes >= 4) {
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

// Any row-major matrix. Compact rather than fast: a launch whose operands are all wide never comes
// here.
template <class Tile, class T, int kThreads>
struct NarrowMatrixLoader {
  using Mine = ThreadChunks<Tile, kThreads>;
  static constexpr bool kIsDeep = Tile::kDirection == Along::kDepth;

  template <class Operand>
  GPU_VERB NarrowMatrixLoader(const Operand& matrix, std::int64_t first, std::int64_t k)
      : data(static_cast<const unsigned char*>(matrix.data)),
        rows(matrix.outer),
        row_elems(matrix.inner),
        outer((kIsDeep ? first : k) + Mine::row()),
        inner((kIsDeep ? k : first) + Mine::chunk() * Tile::kChunkElems),
        copy_bytes(matrix.copy_bytes) {}

  GPU_VERB void stage(unsigned char* shared) {
    const std::int64_t in_row = row_elems - inner;
    const int most = in_row < Tile::kChunkElems ? static_cast<int>(in_row) : Tile::kChunkElems;
    unsigned char* place = shared + Tile::chunk_at(Mine::row(), Mine::chunk());
#pragma unroll 1
    for (int i = 0; i < Mine::kCount; ++i) {
      const std::int64_t row = outer + i * Mine::kRowStep;
      const int valid = row < rows && most > 0 ? most : 0;
      const std::int64_t at = valid > 0 ? row * row_elems + inner : 0;
      copy_in_parts(place + i * Mine::kBytesApart, data + at * std::int64_t{sizeof(T)},
                    valid * static_cast<int>(sizeof(T)), copy_bytes);
    }
    (kIsDeep ? inner : outer) += Tile::kDeep;
  }

  const unsigned char* data;
  std::int64_t rows, row_elems, outer, inner;
  int copy_bytes;
};

// A row-major matrix in global memory and the part of it that may be read.
struct MatrixOperand {
  const void* data = nullptr;
  std::int64_t outer = 0;  // rows
  std::int64_t inner = 0;  // elements of a row; rows follow each other without gaps
  // 16, 4 or 2: the widest copy that every row's alignment allows (2: element by element).
  int copy_bytes = 16;

  GPU_VERB bool is_wide() const { return copy_bytes == kChunkBytes; }
  template <class Tile, class T, int kThreads>
  using Loader = MatrixLoader<Tile, T, kThreads>;
  template <class Tile, class T, int kThreads>
  using NarrowLoader = NarrowMatrixLoader<Tile, T, kThreads>;
};

}  // namespace diabolo::kernels::gpu
