// Compiled with contraction to FMA, as the products that these loops stand for. A tile of sums is
// in registers: kRows cells (or channels of the image) x one or two vectors of channels.
#include "kernels/cpu/conv_tiles.h"

#include <limits>
#include <type_traits>

#include "kernels/cpu/parallel.h"

namespace diabolo::kernels::cpu {
namespace {

template <Isa isa>
struct Tile {
  static constexpr int kWidth = isa == Isa::kAvx512 ? 16 : (isa == Isa::kAvx2 ? 8 : 4);
  static constexpr int kRows = isa == Isa::kAvx512 ? 12 : 6;
  typedef float Vector __attribute__((vector_size(kWidth * sizeof(float)), aligned(4)));
};

// Calls f(isa, vectors) with both as constants, compiled for the set; two vectors where columns
// fill more than one.
template <class F>
void with_tile(Isa isa, int64_t columns, const F& f) {
  const auto on = [&](auto set) {
    constexpr Isa kSet = decltype(set)::value;
    if (columns > Tile<kSet>::kWidth)
      f(set, std::integral_constant<int, 2>{});
    else
      f(set, std::integral_constant<int, 1>{});
  };
  switch (isa) {
    case Isa::kAvx512:
      return on(std::integral_constant<Isa, Isa::kAvx512>{});
    case Isa::kAvx2:
      return on(std::integral_constant<Isa, Isa::kAvx2>{});
    case Isa::kBaseline:
      return on(std::integral_constant<Isa, Isa::kBaseline>{});
  }
}

// Columns whose weights lie side by side.
int64_t panel_of(Isa isa, int64_t columns) {
  int64_t panel = 0;
  with_tile(isa, columns,
            [&](auto set, auto vectors) { panel = Tile<decltype(set)::value>::kWidth * vectors; });
  return panel;
}

// The cells of a tile: what they read for a tap, or zeros where that is beside the source, and for
// rows of the tile that are no cells.
template <Isa isa>
struct TileCells {
  static constexpr int kRows = Tile<isa>::kRows;

  [[gnu::always_inline]] TileCells(const Gather& g, int64_t first, int64_t count) {
    Cell cell(g, first);
    for (int r = 0; r < kRows; ++r) {
      const bool is_cell = r < count;
      y[r] = is_cell ? cell.i * g.h.step : std::numeric_limits<int64_t>::min() / 2;
      x[r] = cell.j * g.w.step;
      at[r] = ((cell.b * g.h.source + cell.i * g.h.step) * g.w.source + x[r]) * g.channels;
      if (r + 1 < count) cell.advance();
    }
  }

  [[gnu::always_inline]] void read(const Gather& g, int64_t down, int64_t across,
                                   const float* source, const float* zeros,
                                   const float** to) const {
    const int64_t shift = (down * g.w.source + across) * g.channels;
    for (int r = 0; r < kRows; ++r) {
      const int64_t v = y[r] + down, u = x[r] + across;
      const bool is_inside = v >= 0 && v < g.h.source && u >= 0 && u < g.w.source;
      to[r] = is_inside ? source + (at[r] + shift) : zeros;
    }
  }

  int64_t y[kRows], x[kRows], at[kRows];
};

struct Reading {
  const Gather& g;
  int64_t K;
  const float* source;
  const float* zeros;
};

// tile [kRows, panel] = what the cells read times the weights of a panel, [taps, K, panel].
template <Isa isa, int vectors>
[[gnu::always_inline]] inline void multiply_cells(const Reading& from, const TileCells<isa>& cells,
                                                  const float* weight, float* tile) {
  constexpr int kRows = Tile<isa>::kRows, kWidth = Tile<isa>::kWidth;
  using Vector = typename Tile<isa>::Vector;
  Vector sum[kRows][vectors] = {};
  for (const int64_t down : from.g.h.offsets) {
    for (const int64_t across : from.g.w.offsets) {
      const float* at[kRows];
      cells.read(from.g, down, across, from.source, from.zeros, at);
      for (int64_t k = 0; k < from.K; ++k, weight += vectors * kWidth) {
        Vector b[vectors];
        for (int v = 0; v < vectors; ++v)
          b[v] = *reinterpret_cast<const Vector*>(weight + v * kWidth);
#pragma GCC unroll 16
        for (int r = 0; r < kRows; ++r) {
          const float value = at[r][k];
          for (int v = 0; v < vectors; ++v) sum[r][v] += b[v] * value;
        }
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < vectors; ++v)
      *reinterpret_cast<Vector*>(tile + (r * vectors + v) * kWidth) = sum[r][v];
}

// Channels of the result that are summed along the source's channels, a vector of those at a time:
// they would leave most of a vector of their own empty.
constexpr int64_t kFewColumns = 4;
bool is_narrow(const Channels& n) {
  return n.N <= kFewColumns && n.K >= 8;
}

// sums [kRows] of one channel of the result, whose weights are [taps, K].
template <Isa isa>
[[gnu::always_inline]] inline void multiply_column(const Reading& from, const TileCells<isa>& cells,
                                                   const float* weight, float* sums) {
  constexpr int kRows = Tile<isa>::kRows, kWidth = Tile<isa>::kWidth;
  using Vector = typename Tile<isa>::Vector;
  Vector sum[kRows] = {};
  float rest[kRows] = {};
  for (const int64_t down : from.g.h.offsets) {
    for (const int64_t across : from.g.w.offsets) {
      const float* at[kRows];
      cells.read(from.g, down, across, from.source, from.zeros, at);
      int64_t k = 0;
      for (; k + kWidth <= from.K; k += kWidth) {
        const Vector b = *reinterpret_cast<const Vector*>(weight + k);
#pragma GCC unroll 16
        for (int r = 0; r < kRows; ++r) sum[r] += b * *reinterpret_cast<const Vector*>(at[r] + k);
      }
      for (; k < from.K; ++k)
        for (int r = 0; r < kRows; ++r) rest[r] += at[r][k] * weight[k];
      weight += from.K;
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    for (int half = kWidth / 2; half > 0; half /= 2)
      for (int j = 0; j < half; ++j) sum[r][j] += sum[r][j + half];
    sums[r] = sum[r][0] + rest[r];
  }
}

template <Isa isa>
[[gnu::always_inline]] inline void sum_columns(const Reading& from, int64_t N, const float* packed,
                                               const float* bias, int64_t first, int64_t count,
                                               float* sums) {
  constexpr int64_t kRows = Tile<isa>::kRows;
  for (int64_t at = 0; at < count; at += kRows) {
    const int64_t rows = std::min(kRows, count - at);
    const TileCells<isa> cells(from.g, first + at, rows);
    for (int64_t j = 0; j < N; ++j) {
      float column[kRows];
      multiply_column<isa>(from, cells, packed + j * from.g.taps() * from.K, column);
      for (int64_t r = 0; r < rows; ++r)
        sums[(at + r) * N + j] = column[r] + (bias ? bias[j] : 0.0f);
    }
  }
}

template <Isa isa, int vectors>
[[gnu::always_inline]] inline void sum_cells(const Reading& from, int64_t N, const float* packed,
                                             const float* bias, int64_t first, int64_t count,
                                             float* sums) {
  constexpr int64_t kRows = Tile<isa>::kRows, kPanel = Tile<isa>::kWidth * vectors;
  const int64_t panel_elems = from.g.taps() * from.K * kPanel;
  for (int64_t at = 0; at < count; at += kRows) {
    const int64_t rows = std::min(kRows, count - at);
    const TileCells<isa> cells(from.g, first + at, rows);
    for (int64_t column = 0, p = 0; column < N; column += kPanel, ++p) {
      alignas(64) float tile[kRows * kPanel];
      multiply_cells<isa, vectors>(from, cells, packed + p * panel_elems, tile);
      const int64_t width = std::min(kPanel, N - column);
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t j = 0; j < width; ++j)
          sums[(at + r) * N + column + j] = tile[r * kPanel + j] + (bias ? bias[column + j] : 0.0f);
    }
  }
}

// What one tap sees of the cells that it does not miss.
struct Seen {
  const float* image[kTileCells];
  int64_t cell[kTileCells];
  int64_t count = 0;
};

void look(const Gather& g, const float* image, int64_t down, int64_t across, int64_t first,
          int64_t count, Seen& seen) {
  Cell cell(g, first);
  seen.count = 0;
  for (int64_t k = 0; k < count; ++k, cell.advance()) {
    const float* row = cell.row(image, down);
    const int64_t x = cell.j * g.w.step + across;
    if (!row || x < 0 || x >= g.w.source) continue;
    seen.image[seen.count] = row + x * g.channels;
    seen.cell[seen.count++] = k;
  }
}

// Columns of a matrix [cells, stride] from `data` on.
struct Columns {
  const float* data;
  int64_t stride, width;
};

// sums [rows, O] of so many channels of the image from `channel` on, by one panel of the grid.
template <Isa isa, int vectors, int rows>
[[gnu::always_inline]] inline void multiply_seen(const Seen& seen, int64_t channel,
                                                 const Columns& b, bool adds, int64_t O,
                                                 float* sums) {
  constexpr int kWidth = Tile<isa>::kWidth;
  using Vector = typename Tile<isa>::Vector;
  Vector sum[rows][vectors] = {};
  for (int64_t k = 0; k < seen.count; ++k) {
    const float* image = seen.image[k] + channel;
    const float* grid = b.data + seen.cell[k] * b.stride;
    Vector value[vectors];
    for (int v = 0; v < vectors; ++v)
      value[v] = *reinterpret_cast<const Vector*>(grid + v * kWidth);
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r)
      for (int v = 0; v < vectors; ++v) sum[r][v] += value[v] * image[r];
  }
  alignas(64) float tile[rows * vectors * kWidth];
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < vectors; ++v)
      *reinterpret_cast<Vector*>(tile + (r * vectors + v) * kWidth) = sum[r][v];
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < b.width; ++j)
      sums[r * O + j] =
          adds ? sums[r * O + j] + tile[r * vectors * kWidth + j] : tile[r * vectors * kWidth + j];
}

template <Isa isa, int vectors, int rows>
[[gnu::always_inline]] inline void multiply_channels(int64_t count, const Seen& seen,
                                                     int64_t channel, const Columns& b, bool adds,
                                                     int64_t O, float* sums) {
  if (count == rows) return multiply_seen<isa, vectors, rows>(seen, channel, b, adds, O, sums);
  if constexpr (rows > 1)
    multiply_channels<isa, vectors, rows - 1>(count, seen, channel, b, adds, O, sums);
}

// The panel that the grid's last channels do not fill, with zeros behind them.
void copy_tail(const TileWeights& of, int64_t panel, int64_t first, int64_t count) {
  const int64_t width = of.O % panel, column = of.O - width;
  for (int64_t k = 0; k < count; ++k) {
    std::copy_n(of.grid + (first + k) * of.O + column, width, of.scratch + k * panel);
    std::fill_n(of.scratch + k * panel + width, panel - width, 0.0f);
  }
}

template <Isa isa, int vectors>
[[gnu::always_inline]] inline void sum_tap_seen(const TileWeights& of, const Seen& seen,
                                                int64_t first, bool adds, float* sums) {
  constexpr int64_t kRows = Tile<isa>::kRows, kPanel = Tile<isa>::kWidth * vectors;
  for (int64_t column = 0; column < of.O; column += kPanel) {
    const bool is_whole = column + kPanel <= of.O;
    const Columns b = is_whole ? Columns{of.grid + first * of.O + column, of.O, kPanel}
                               : Columns{of.scratch, kPanel, of.O - column};
    for (int64_t c = 0; c < of.gather.channels; c += kRows)
      multiply_channels<isa, vectors, Tile<isa>::kRows>(std::min(kRows, of.gather.channels - c),
                                                        seen, c, b, adds, of.O,
                                                        sums + c * of.O + column);
  }
}

}  // namespace

int64_t tile_weight_elems(Isa isa, const Gather& g, const Channels& n) {
  const int64_t panel = is_narrow(n) ? 1 : panel_of(isa, n.N);
  return chunk_count(n.N, panel) * panel * g.taps() * n.K + n.K;
}

void pack_tile_tap(Isa isa, const Conv2dShape& s, bool to_image, const Gather& g, int64_t tap,
                   const float* weight, float* packed) {
  const Channels n = channels_of(s, to_image);
  const int64_t panel = is_narrow(n) ? 1 : panel_of(isa, n.N), panels = chunk_count(n.N, panel);
  const auto columns = static_cast<int64_t>(g.w.taps.size());
  const int64_t r = g.h.taps[static_cast<size_t>(tap / columns)];
  const int64_t t = g.w.taps[static_cast<size_t>(tap % columns)];
  for (int64_t p = 0; p < panels; ++p) {
    float* to = packed + (p * g.taps() + tap) * n.K * panel;
    for (int64_t k = 0; k < n.K; ++k)
      for (int64_t j = p * panel; j < (p + 1) * panel; ++j)
        *to++ = j >= n.N ? 0 : weight[to_image ? s.weight_at(r, t, j, k) : s.weight_at(r, t, k, j)];
  }
  if (tap == 0) std::fill_n(packed + panels * g.taps() * n.K * panel, n.K, 0.0f);
}

void tile_sums(Isa isa, const Gather& g, const Channels& n, const float* source,
               const float* packed, const float* bias, int64_t first, int64_t count, float* sums) {
  const Reading from{g, n.K, source, packed + tile_weight_elems(isa, g, n) - n.K};
  with_tile(isa, n.N, [&](auto set, auto vectors) {
    constexpr Isa kSet = decltype(set)::value;
    on_isa(kSet, [&] {
      if (is_narrow(n)) return sum_columns<kSet>(from, n.N, packed, bias, first, count, sums);
      sum_cells<kSet, decltype(vectors)::value>(from, n.N, packed, bias, first, count, sums);
    });
  });
}

int64_t tile_weight_scratch(Isa isa, int64_t O) {
  return O % panel_of(isa, O) == 0 ? 0 : panel_of(isa, O);
}

void tile_weight_sums(Isa isa, const TileWeights& of, int64_t first_tap, int64_t last_tap,
                      int64_t first, int64_t count, bool adds) {
  const Gather& g = of.gather;
  const auto columns = static_cast<int64_t>(g.w.offsets.size());
  Seen seen;
  if (tile_weight_scratch(isa, of.O) > 0) copy_tail(of, panel_of(isa, of.O), first, count);
  for (int64_t tap = first_tap; tap < last_tap; ++tap) {
    look(g, of.image, g.h.offsets[static_cast<size_t>(tap / columns)],
         g.w.offsets[static_cast<size_t>(tap % columns)], first, count, seen);
    float* sums = of.sums + tap * g.channels * of.O;
    with_tile(isa, of.O, [&](auto set, auto vectors) {
      constexpr Isa kSet = decltype(set)::value;
      on_isa(kSet,
             [&] { sum_tap_seen<kSet, decltype(vectors)::value>(of, seen, first, adds, sums); });
    });
  }
}

}  // namespace diabolo::kernels::cpu
