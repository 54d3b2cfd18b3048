// A loader that is no matrix: what a convolution reads, as an operand of the tiled product. It
// shows that tile_load.cuh's concept carries im2col and the phases of a strided data gradient; the
// kernels for convolutions will bring their own.
#pragma once

#include "kernels/cuda/device/tile_load.cuh"

namespace diabolo::test {

using kernels::Bf16;

// Row r of the operand is a place of a grid: image r / (grid_height grid_width), then y, then x.
// Along k: taps (y, x), then channels. Element (r, (ty, tx, c)) is that channel of pixel
// (stride y + offset_y + tap_step ty, ...), and 0 outside the image.
//
// Im2col: tap_step 1. The data gradient: tap_step -1 over dz. Its weights [kh, kw, C, O] too: the
// kernel is the image, a row is an input channel, and a phase walks every `stride`th tap.
struct TapOperand {
  const Bf16* data = nullptr;
  std::int64_t rows = 0;
  int channels = 0;
  int height = 0, width = 0;
  std::int64_t image_elems = 0, pixel_elems = 0;  // from one to the next
  int grid_height = 1, grid_width = 1;
  int stride = 1, offset_y = 0, offset_x = 0, tap_step = 1;
  int taps_y = 1, taps_x = 1;

  struct Origin {
    const Bf16* image;
    int y, x;
  };
  GPU_VERB Origin origin(std::int64_t row) const {
    if (row >= rows) row = 0;
    const auto place = static_cast<int>(row % (grid_height * grid_width));
    return {data + row / (grid_height * grid_width) * image_elems,
            place / grid_width * stride + offset_y, place % grid_width * stride + offset_x};
  }
  // Null outside.
  GPU_VERB const Bf16* at(const Origin& from, int tap_y, int tap_x, int channel) const {
    const int y = from.y + tap_y * tap_step;
    const int x = from.x + tap_x * tap_step;
    const bool is_inside = tap_y < taps_y && y >= 0 && y < height && x >= 0 && x < width;
    return is_inside ? from.image + (std::int64_t{y} * width + x) * pixel_elems + channel : nullptr;
  }

  GPU_VERB bool is_wide() const { return channels % 8 == 0; }
  template <class Tile, class T, int kThreads>
  struct Loader;
  template <class Tile, class T, int kThreads>
  struct NarrowLoader;
};

// Whole chunks: eight channels of one tap.
template <class Tile, class T, int kThreads>
struct TapOperand::Loader {
  using Mine = kernels::gpu::ThreadChunks<Tile, kThreads>;
  static_assert(Tile::kDirection == kernels::gpu::Along::kDepth);

  GPU_VERB Loader(const TapOperand& operand, std::int64_t first, std::int64_t k) : p(operand) {
    for (int i = 0; i < Mine::kCount; ++i)
      from[i] = p.origin(first + Mine::row() + i * Mine::kRowStep);
    advance(static_cast<int>(k) + Mine::chunk() * Tile::kChunkElems);
  }

  GPU_VERB void stage(unsigned char* shared) {
    unsigned char* place = shared + Tile::chunk_at(Mine::row(), Mine::chunk());
    for (int i = 0; i < Mine::kCount; ++i) {
      const Bf16* source = p.at(from[i], tap_y, tap_x, channel);
      kernels::gpu::cp_async<16>(place + i * Mine::kBytesApart, source ? source : p.data,
                                 source ? 16 : 0);
    }
    advance(Tile::kDeep);
  }

  GPU_VERB void advance(int depth) {
    channel += depth;
    while (channel >= p.channels) {
      channel -= p.channels;
      if (++tap_x == p.taps_x) {
        tap_x = 0;
        ++tap_y;
      }
    }
  }

  const TapOperand& p;
  Origin from[Mine::kCount];
  int tap_y = 0, tap_x = 0, channel = 0;
};

// Taps of whole chunks only: an operand without a narrow loader, beside which another may be
// narrow.
struct WideTapOperand {
  TapOperand taps;

  GPU_VERB bool is_wide() const { return true; }
  template <class Tile, class T, int kThreads>
  struct Loader : TapOperand::Loader<Tile, T, kThreads> {
    GPU_VERB Loader(const WideTapOperand& operand, std::int64_t first, std::int64_t k)
        : TapOperand::Loader<Tile, T, kThreads>(operand.taps, first, k) {}
  };
};

// Any number of channels, element by element.
template <class Tile, class T, int kThreads>
struct TapOperand::NarrowLoader {
  using Mine = kernels::gpu::ThreadChunks<Tile, kThreads>;

  GPU_VERB NarrowLoader(const TapOperand& operand, std::int64_t first_row, std::int64_t k)
      : p(operand), first(first_row), depth(static_cast<int>(k)) {}

  GPU_VERB void stage(unsigned char* shared) {
    for (int i = 0; i < Mine::kCount; ++i) {
      const int row = Mine::row() + i * Mine::kRowStep;
      const Origin from = p.origin(first + row);
      for (int e = 0; e < Tile::kChunkElems; ++e) {
        const int column = Mine::chunk() * Tile::kChunkElems + e;
        const int tap = (depth + column) / p.channels;
        const Bf16* source =
            p.at(from, tap / p.taps_x, tap % p.taps_x, (depth + column) % p.channels);
        *reinterpret_cast<Bf16*>(shared + Tile::element_at(row, column)) =
            source ? *source : Bf16{};
      }
    }
    depth += Tile::kDeep;
  }

  const TapOperand& p;
  std::int64_t first;
  int depth;
};

}  // namespace diabolo::test
