// A convolution as the CPU walks it: cells of the result, each the sum of what a list of taps reads
// of the source. A grid is one gather. An image is stride x stride of them, one for each phase:
// the cells that the same taps fall on. So nothing is multiplied by zeros between numbers, and
// nothing is added up in memory.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/conv2d.h"
#include "kernels/cpu/blocks.h"

namespace diabolo::kernels::cpu {

// Along one axis: cell i, at first + i pitch of the result, reads i step + offset of the source for
// each of its taps; what is outside is 0. Offsets ascend.
struct GatherAxis {
  int64_t cells = 0, first = 0, pitch = 1, result = 0;
  int64_t source = 0, step = 1;
  std::vector<int64_t> taps = {}, offsets = {};
  bool is_run = true;  // each offset is one more than the last
};

inline void add_tap(GatherAxis& axis, int64_t tap, int64_t offset) {
  axis.is_run &= axis.offsets.empty() || axis.offsets.back() + 1 == offset;
  axis.taps.push_back(tap);
  axis.offsets.push_back(offset);
}

inline GatherAxis grid_axis(const ConvAxis& a) {
  GatherAxis axis{.cells = a.grid, .result = a.grid, .source = a.image, .step = a.stride};
  for (int64_t r = 0; r < a.kernel; ++r) add_tap(axis, r, r * a.dilation - a.before);
  return axis;
}

// Of the image's places phase, phase + stride, ….
inline GatherAxis image_axis(const ConvAxis& a, int64_t phase) {
  GatherAxis axis{.cells = (a.image - phase - 1) / a.stride + 1,
                  .first = phase,
                  .pitch = a.stride,
                  .result = a.image,
                  .source = a.grid,
                  .step = 1};
  for (int64_t r = a.kernel - 1; r >= 0; --r) {
    const int64_t offset = phase + a.before - r * a.dilation;
    if (offset % a.stride == 0) add_tap(axis, r, offset / a.stride);
  }
  return axis;
}

// Bytes of so many numbers, up to where the next may begin.
template <class T>
uint64_t bytes_of(int64_t count) {
  return (static_cast<uint64_t>(count) * sizeof(T) + 63) / 64 * 64;
}

struct Gather {
  int64_t B = 0;
  GatherAxis h, w;
  int64_t channels = 0;  // of the source

  int64_t cells() const { return B * h.cells * w.cells; }
  int64_t taps() const { return static_cast<int64_t>(h.taps.size() * w.taps.size()); }
  bool is_whole() const { return h.pitch == 1 && w.pitch == 1; }  // cells lie as the result does
};

// Of an image: the cells that the same taps fall on, down and across.
inline int64_t phase_count(const Conv2dShape& s) {
  return std::min(s.h.stride, s.h.image) * std::min(s.w.stride, s.w.image);
}

inline std::vector<Gather> gathers_of(const Conv2dShape& s, bool to_image) {
  if (!to_image) return {{s.B, grid_axis(s.h), grid_axis(s.w), s.C}};
  std::vector<Gather> phases;
  for (int64_t y = 0; y < std::min(s.h.stride, s.h.image); ++y)
    for (int64_t x = 0; x < std::min(s.w.stride, s.w.image); ++x)
      phases.push_back({s.B, image_axis(s.h, y), image_axis(s.w, x), s.O});
  return phases;
}

// Walks over the cells in order.
struct Cell {
  Cell(const Gather& gather, int64_t index)
      : of(gather),
        b(index / (gather.h.cells * gather.w.cells)),
        i(index / gather.w.cells % gather.h.cells),
        j(index % gather.w.cells) {}

  void advance() {
    if (++j < of.w.cells) return;
    j = 0;
    if (++i < of.h.cells) return;
    i = 0;
    ++b;
  }
  // Of the result, in cells.
  int64_t place() const {
    return (b * of.h.result + of.h.first + i * of.h.pitch) * of.w.result + of.w.first +
           j * of.w.pitch;
  }
  // The row of the source that a tap reads; null: zeros.
  template <class T>
  const T* row(const T* source, int64_t offset) const {
    const int64_t y = i * of.h.step + offset;
    if (y < 0 || y >= of.h.source) return nullptr;
    return source + (b * of.h.source + y) * of.w.source * of.channels;
  }

  const Gather& of;
  int64_t b, i, j;
};

// What the taps of one row read: [taps of w, channels].
template <class T>
[[gnu::always_inline]] inline void gather_row(const GatherAxis& w, int64_t channels, const T* row,
                                              int64_t at, T* to) {
  const auto taps = static_cast<int64_t>(w.offsets.size());
  if (w.is_run && taps > 0) {
    const int64_t begin = at + w.offsets[0];
    const int64_t low = std::clamp<int64_t>(-begin, 0, taps);
    const int64_t high = std::clamp<int64_t>(w.source - begin, low, taps);
    const int64_t shift = begin * channels;
    int64_t k = 0;
    for (; k < low * channels; ++k) to[k] = T{};
    for (; k < high * channels; ++k) to[k] = row[shift + k];
    for (; k < taps * channels; ++k) to[k] = T{};
    return;
  }
  for (int64_t t = 0; t < taps; ++t) {
    const int64_t x = at + w.offsets[static_cast<size_t>(t)];
    const bool is_inside = x >= 0 && x < w.source;
    for (int64_t c = 0; c < channels; ++c)
      to[t * channels + c] = is_inside ? row[x * channels + c] : T{};
  }
}

// patches [count, taps, channels] of the cells from `first`.
template <class T>
[[gnu::always_inline]] inline void gather_patches(const Gather& g, const T* source, int64_t first,
                                                  int64_t count, T* patches) {
  const int64_t run = static_cast<int64_t>(g.w.taps.size()) * g.channels;
  Cell cell(g, first);
  for (int64_t k = 0; k < count; ++k, cell.advance()) {
    for (const int64_t offset : g.h.offsets) {
      if (const T* row = cell.row(source, offset))
        gather_row(g.w, g.channels, row, cell.j * g.w.step, patches);
      else
        std::fill_n(patches, run, T{});
      patches += run;
    }
  }
}

// The channels of a sum: in each of the groups K numbers give N.
struct Channels {
  int64_t groups, K, N;
  int64_t all() const { return groups * N; }
};
inline Channels channels_of(const Conv2dShape& s, bool to_image) {
  return {s.groups, to_image ? s.group_out() : s.group_in(),
          to_image ? s.group_in() : s.group_out()};
}

inline void copy_weight(const float& from, float& to) {
  to = from;
}
inline void copy_weight(const Bf16& from, Bf16& to) {
  to = from;
}
inline void copy_weight(const Bf16& from, float& to) {
  to = to_float(from);
}

// The weights of a gather's tap as sums read them: [K, channels of the result].
template <class From, class To>
void pack_tap(const Conv2dShape& s, bool to_image, const Gather& g, int64_t tap, const From* weight,
              To* packed) {
  const auto columns = static_cast<int64_t>(g.w.taps.size());
  const int64_t r = g.h.taps[static_cast<size_t>(tap / columns)];
  const int64_t t = g.w.taps[static_cast<size_t>(tap % columns)];
  const Channels n = channels_of(s, to_image);
  To* to = packed + tap * n.K * n.all();
  for (int64_t k = 0; k < n.K; ++k)
    for (int64_t group = 0; group < n.groups; ++group)
      for (int64_t j = 0; j < n.N; ++j, ++to)
        copy_weight(weight[to_image ? s.weight_at(r, t, j, group * n.K + k)
                                    : s.weight_at(r, t, k, group * n.N + j)],
                    *to);
}

// sums [channels] += what one tap reads, times its weights.
template <class T>
[[gnu::always_inline]] inline void add_tap_sums(const Channels& n, const T* read,
                                                const float* weight, float* sums) {
  for (int64_t k = 0; k < n.K; ++k, weight += n.all()) {
    if (n.N == 1) {
      for (int64_t g = 0; g < n.groups; ++g) sums[g] += widen(read[g * n.K + k]) * weight[g];
      continue;
    }
    for (int64_t g = 0; g < n.groups; ++g) {
      const float value = widen(read[g * n.K + k]);
      for (int64_t j = g * n.N; j < (g + 1) * n.N; ++j) sums[j] += value * weight[j];
    }
  }
}

// sums [count, channels] of the cells from `first`, on top of the bias where there is one.
template <class T>
[[gnu::always_inline]] inline void gather_sums(const Gather& g, const Channels& n, const T* source,
                                               const float* packed, const float* bias,
                                               int64_t first, int64_t count, float* sums) {
  const size_t columns = g.w.offsets.size();
  Cell cell(g, first);
  for (int64_t k = 0; k < count; ++k, cell.advance(), sums += n.all()) {
    for (int64_t c = 0; c < n.all(); ++c) sums[c] = bias ? bias[c] : 0.0f;
    for (size_t r = 0; r < g.h.offsets.size(); ++r) {
      const T* row = cell.row(source, g.h.offsets[r]);
      if (!row) continue;
      for (size_t t = 0; t < columns; ++t) {
        const int64_t x = cell.j * g.w.step + g.w.offsets[t];
        if (x < 0 || x >= g.w.source) continue;
        add_tap_sums(n, row + x * g.channels,
                     packed + static_cast<int64_t>(r * columns + t) * n.K * n.all(), sums);
      }
    }
  }
}

// Numbers of cells to their places in the result, and from there.
template <class T>
[[gnu::always_inline]] inline void store_cells(const Gather& g, int64_t channels, int64_t first,
                                               int64_t count, const float* from, T* result) {
  if (g.is_whole()) return narrow_block(from, result + first * channels, count * channels);
  Cell cell(g, first);
  for (int64_t k = 0; k < count; ++k, cell.advance())
    narrow_block(from + k * channels, result + cell.place() * channels, channels);
}
template <class T>
[[gnu::always_inline]] inline void load_cells(const Gather& g, int64_t channels, int64_t first,
                                              int64_t count, const T* result, float* to) {
  if (g.is_whole()) return widen_block(result + first * channels, to, count * channels);
  Cell cell(g, first);
  for (int64_t k = 0; k < count; ++k, cell.advance())
    widen_block(result + cell.place() * channels, to + k * channels, channels);
}

}  // namespace diabolo::kernels::cpu
