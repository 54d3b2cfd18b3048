// A task makes one tile of C. Over blocks of k it packs its rows of A into strips and its columns
// of B into panels, then multiplies strip by panel with the sums in registers. Like
// product_loops.cpp this file is compiled with contraction to FMA.
#include "kernels/cpu/double_product.h"

#include <algorithm>
#include <vector>

#include "kernels/cpu/parallel.h"

namespace diabolo::kernels::cpu {
namespace {

constexpr int64_t kTile = 192;   // rows and columns of C of a task
constexpr int64_t kInner = 256;  // of a block of k: a tile's strips and panels stay in the L2 cache

// Registers: kRows x 2 sums, 2 of B, 1 of A out of 32 (AVX-512) or 16.
template <Isa isa>
struct DoubleTile {
  static constexpr int kWidth = isa == Isa::kAvx512 ? 8 : (isa == Isa::kAvx2 ? 4 : 2);
  static constexpr int kRows = isa == Isa::kAvx512 ? 12 : 6;
  static constexpr int kPanel = 2 * kWidth;
  static_assert(kTile % kRows == 0 && kTile % kPanel == 0);
};

// [part][k][width] of a matrix whose rows are cut into parts of `width`, zeros beyond them.
template <int width>
[[gnu::always_inline]] inline void pack(const StridedMatrix<const double>& from, Range rows,
                                        Range inner, double* to) {
  const int64_t depth = inner.size();
  for (int64_t first = rows.begin; first < rows.end; first += width, to += depth * width) {
    const int64_t count = std::min<int64_t>(width, rows.end - first);
    const double* source = from.data + first * from.row_stride + inner.begin * from.col_stride;
    if (count < width) std::fill_n(to, depth * width, 0.0);
    if (from.row_stride == 1) {
      for (int64_t k = 0; k < depth; ++k)
        for (int64_t r = 0; r < count; ++r) to[k * width + r] = source[k * from.col_stride + r];
    } else {
      for (int64_t r = 0; r < count; ++r)
        for (int64_t k = 0; k < depth; ++k)
          to[k * width + r] = source[r * from.row_stride + k * from.col_stride];
    }
  }
}

// sums[r][j] = sum over k of strip[k][r] * panel[k][j].
template <Isa isa>
[[gnu::always_inline]] inline void multiply_strip(const double* strip, const double* panel,
                                                  int64_t depth, double* sums) {
  constexpr int kWidth = DoubleTile<isa>::kWidth;
  constexpr int kRows = DoubleTile<isa>::kRows;
  typedef double Vector __attribute__((vector_size(kWidth * sizeof(double)), aligned(8)));
  Vector sum[kRows][2] = {};
  for (int64_t k = 0; k < depth; ++k, strip += kRows, panel += 2 * kWidth) {
    const Vector b0 = *reinterpret_cast<const Vector*>(panel);
    const Vector b1 = *reinterpret_cast<const Vector*>(panel + kWidth);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      sum[r][0] += b0 * strip[r];
      sum[r][1] += b1 * strip[r];
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    *reinterpret_cast<Vector*>(sums + r * 2 * kWidth) = sum[r][0];
    *reinterpret_cast<Vector*>(sums + r * 2 * kWidth + kWidth) = sum[r][1];
  }
}

struct Tile {
  Range rows, cols;
};

template <Isa isa>
[[gnu::always_inline]] inline void add_block(const StridedMatrix<double>& c, const Tile& tile,
                                             int64_t depth, const double* strips,
                                             const double* panels, bool accumulates) {
  constexpr int64_t kRows = DoubleTile<isa>::kRows, kPanel = DoubleTile<isa>::kPanel;
  alignas(64) double sums[kRows * kPanel];
  for (int64_t col = tile.cols.begin; col < tile.cols.end; col += kPanel) {
    const double* panel = panels + (col - tile.cols.begin) * depth;
    const int64_t width = std::min(kPanel, tile.cols.end - col);
    for (int64_t row = tile.rows.begin; row < tile.rows.end; row += kRows) {
      multiply_strip<isa>(strips + (row - tile.rows.begin) * depth, panel, depth, sums);
      const int64_t count = std::min(kRows, tile.rows.end - row);
      for (int64_t r = 0; r < count; ++r) {
        double* to = c.data + (row + r) * c.row_stride + col * c.col_stride;
        for (int64_t j = 0; j < width; ++j) {
          const double before = accumulates ? to[j * c.col_stride] : 0.0;
          to[j * c.col_stride] = before + sums[r * kPanel + j];
        }
      }
    }
  }
}

template <Isa isa>
void make_tile(const DoubleProduct& product, const Tile& tile) {
  std::vector<double> strips(kTile * kInner), panels(kTile * kInner);
  const StridedMatrix<const double> columns = product.b.transposed();
  const int64_t K = product.a.cols;
  for (int64_t k = 0; k < std::max<int64_t>(K, 1); k += kInner) {
    const Range inner{k, std::min(K, k + kInner)};
    on_isa(isa, [&] {
      pack<DoubleTile<isa>::kRows>(product.a, tile.rows, inner, strips.data());
      pack<DoubleTile<isa>::kPanel>(columns, tile.cols, inner, panels.data());
      add_block<isa>(product.c, tile, inner.size(), strips.data(), panels.data(),
                     product.accumulates || k > 0);
    });
  }
}

template <Isa isa>
void multiply_on(const DoubleProduct& product, const RunTasks& run) {
  const int64_t row_tiles = chunk_count(product.c.rows, kTile);
  const int64_t col_tiles = chunk_count(product.c.cols, kTile);
  run(row_tiles * col_tiles, [&](int64_t index) {
    const Tile tile{chunk_range(index / col_tiles, kTile, product.c.rows),
                    chunk_range(index % col_tiles, kTile, product.c.cols)};
    if (product.only_lower && tile.cols.begin >= tile.rows.end) return;
    make_tile<isa>(product, tile);
  });
}

}  // namespace

void multiply(const DoubleProduct& product, Isa isa, const RunTasks& run) {
  switch (isa) {
    case Isa::kAvx512:
      return multiply_on<Isa::kAvx512>(product, run);
    case Isa::kAvx2:
      return multiply_on<Isa::kAvx2>(product, run);
    case Isa::kBaseline:
      return multiply_on<Isa::kBaseline>(product, run);
  }
}

}  // namespace diabolo::kernels::cpu
