// What the epilogues of tile products are made of: passes over a slab, a part of a finished tile in
// shared memory.
//
// Rows are contiguous there, which accumulators are not. A pass that computes goes quad by quad, in
// place, in a loop that is not unrolled: activations are a switch around it, and all that follows
// is in the kernel once. Passes that move data take 16 bytes of a row at a time, where the tensor's
// rows allow it, and start all loads of a slab together: the next slab's while this one is worked
// on. Passes share a slab between threads in different ways: a barrier stands between any two.
#pragma once

#include "kernels/cuda/device/quad.cuh"
#include "kernels/cuda/device/sync.cuh"

namespace diabolo::kernels::cuda {

// Where a product's row lies in what it makes: its first element; the columns follow. The dense
// ops' matrices, and the form of any other map that epilogues write through.
struct RowMajor {
  int64_t row_elems = 0;
  DIABOLO_HD int64_t row_at(int64_t row) const { return row * row_elems; }
};

// One slab of a finished tile.
template <class Output_>
struct Slab {
  using Output = Output_;
  float* values;
  float* beside;                    // room for as many more (kSlabCopies 2)
  int index;                        // which slab of the tile
  int64_t first_row, first_column;  // of the tile
  int64_t m, n;
  int64_t tile;         // number of the tile in grid x
  int64_t tile_column;  // its column in units of tiles
  int64_t split;
  const Output& output;
};

// 8 floats of padding: neighbouring rows start 8 banks apart, four of them fill the banks.
template <class Loop>
inline constexpr int kSlabPitch = Loop::kN + 8;
template <class Loop>
inline constexpr int kSlabFloats = Loop::kSlabRows* kSlabPitch<Loop>;

// A thread's quads in passes that compute: one column of quads.
template <class Loop>
struct QuadColumn {
  static constexpr int kRowQuads = Loop::kN / 4;
  static constexpr int kRowStep = Loop::kThreads / kRowQuads;
  static_assert(Loop::kThreads % kRowQuads == 0 && Loop::kSlabRows % kRowStep == 0);
  GPU_VERB static int row() { return static_cast<int>(threadIdx.x) / kRowQuads; }
  GPU_VERB static int column() { return static_cast<int>(threadIdx.x) % kRowQuads * 4; }
};

// Calls f(place of a quad in the slab, how many of its elements lie inside C: below 1 if none do)
// for this thread's quads, rows ascending.
template <class Loop, class Slab, class F>
GPU_VERB void for_each_quad(const Slab& slab, F&& f) {
  using Mine = QuadColumn<Loop>;
  const int64_t left = slab.n - slab.first_column - Mine::column();
  const int columns = left < 4 ? static_cast<int>(left) : 4;
#pragma unroll 1
  for (int row = Mine::row(); row < Loop::kSlabRows; row += Mine::kRowStep) {
    const bool is_inside = slab.first_row + Loop::tile_row(slab.index, row) < slab.m;
    f(row * kSlabPitch<Loop> + Mine::column(), is_inside ? columns : 0);
  }
}

GPU_VERB gpu::Quad slab_quad(const float* at) {
  return gpu::bit_cast<gpu::Quad>(gpu::load<16>(at));
}
GPU_VERB void set_slab_quad(float* at, const gpu::Quad& quad) {
  gpu::store<16>(at, gpu::bit_cast<gpu::Bits<16>>(quad));
}

// What of a row vector (a bias; null: zeros) goes with this thread's quads.
template <class Loop, class Slab>
GPU_VERB gpu::Quad column_quad(const float* row, const Slab& slab, bool is_vector) {
  const int64_t column = slab.first_column + QuadColumn<Loop>::column();
  const int64_t left = slab.n - column;
  if (row == nullptr || left < 1) return {};
  const int count = left < 4 ? static_cast<int>(left) : 4;
  return gpu::load_quad(row + column, count, is_vector && count == 4);
}

GPU_VERB gpu::Quad operator+(const gpu::Quad& a, const gpu::Quad& b) {
  return {{a.v[0] + b.v[0], a.v[1] + b.v[1], a.v[2] + b.v[2], a.v[3] + b.v[3]}};
}

// A thread's part of a slab in passes that move elements of T: 16 bytes of each kRowStep'th row.
template <class Loop, class T>
struct SlabPart {
  static constexpr int kElems = 16 / static_cast<int>(sizeof(T));
  static constexpr int kRowParts = Loop::kN / kElems;
  static constexpr int kRowStep = Loop::kThreads / kRowParts;
  static constexpr int kRows = Loop::kSlabRows / kRowStep;
  static_assert(Loop::kThreads % kRowParts == 0 && Loop::kSlabRows % kRowStep == 0);

  template <class Slab>
  GPU_VERB SlabPart(const Slab& slab, int slab_index) {
    column = static_cast<int>(threadIdx.x) % kRowParts * kElems;
    row = static_cast<int>(threadIdx.x) / kRowParts;
    first_row = slab.first_row;
    index = slab_index;
    const int64_t left = slab.n - slab.first_column - column;
    count = left < kElems ? (left < 0 ? 0 : static_cast<int>(left)) : kElems;
  }
  // Of the i'th row: its place in the slab, its row of C.
  GPU_VERB int place(int i) const { return (row + i * kRowStep) * kSlabPitch<Loop> + column; }
  GPU_VERB int64_t row_of_c(int i) const {
    return first_row + Loop::tile_row(index, row + i * kRowStep);
  }

  int64_t first_row;
  int column, row, index;
  int count;  // elements of each row that lie inside C
};

// 16 bytes of T as floats in shared memory, and back.
GPU_VERB void put_elements(float* at, const gpu::Bits<16>& bits, float) {
  gpu::store<16>(at, bits);
}
GPU_VERB void put_elements(float* at, const gpu::Bits<16>& bits, Bf16) {
#pragma unroll
  for (int q = 0; q < 2; ++q) {
    const std::uint32_t low = bits.word[2 * q], high = bits.word[2 * q + 1];
    set_slab_quad(at + 4 * q, {{gpu::low_bf16(low), gpu::high_bf16(low), gpu::low_bf16(high),
                                gpu::high_bf16(high)}});
  }
}
GPU_VERB gpu::Bits<16> take_elements(const float* at, float) {
  return gpu::load<16>(at);
}
GPU_VERB gpu::Bits<16> take_elements(const float* at, Bf16) {
  const gpu::Quad a = slab_quad(at), b = slab_quad(at + 4);
  return {{gpu::pack_bf16(a.v[0], a.v[1]), gpu::pack_bf16(a.v[2], a.v[3]),
           gpu::pack_bf16(b.v[0], b.v[1]), gpu::pack_bf16(b.v[2], b.v[3])}};
}

// True where 16 bytes of every row of `row_elems` elements are one access; a null pointer is in
// nobody's way. Host code.
template <class T>
bool has_wide_rows(const T* data, int64_t row_elems) {
  return gpu::common_alignment(data, static_cast<std::size_t>(row_elems) * sizeof(T)) == 16;
}

// A tensor that lies as the output does, on its way into a slab.
template <class Loop, class T>
struct SlabOperand {
  using Part = SlabPart<Loop, T>;

  // Starts the loads for slab `index` of the tile.
  template <class Slab>
  GPU_VERB void fetch(const T* data, const Slab& slab, int index, bool is_wide) {
    if (!is_wide) return;
    const Part mine(slab, index);
#pragma unroll
    for (int i = 0; i < Part::kRows; ++i) {
      bits[i] = {};
      const int64_t row = mine.row_of_c(i);
      if (row >= slab.m || mine.count < 1) continue;
      bits[i] = gpu::load<16>(data + slab.output.row_at(row) + slab.first_column + mine.column);
    }
  }

  // Writes what was fetched for this slab, as floats, beside its values; zeros outside C.
  template <class Slab>
  GPU_VERB void put(const T* data, const Slab& slab, bool is_wide) const {
    const Part mine(slab, slab.index);
    if (is_wide) {
#pragma unroll
      for (int i = 0; i < Part::kRows; ++i) put_elements(slab.beside + mine.place(i), bits[i], T{});
      return;
    }
#pragma unroll 1
    for (int i = 0; i < Part::kRows; ++i) {
      const int64_t row = mine.row_of_c(i);
      const int count = row < slab.m ? mine.count : 0;
      const T* from = data + (count > 0 ? slab.output.row_at(row) + slab.first_column : 0);
      float* to = slab.beside + mine.place(i);
#pragma unroll 1
      for (int e = 0; e < Part::kElems; ++e) to[e] = e < count ? widen(from[mine.column + e]) : 0;
    }
  }

  gpu::Bits<16> bits[Part::kRows];
};

// Stores `values`, one of the slab's two, where the output map says.
template <class Loop, class T, class Slab>
GPU_VERB void store_slab(T* out, const Slab& slab, const float* values, bool is_wide) {
  using Part = SlabPart<Loop, T>;
  const Part mine(slab, slab.index);
  T* const column = out + slab.first_column + mine.column;
  if (is_wide) {
#pragma unroll
    for (int i = 0; i < Part::kRows; ++i) {
      const int64_t row = mine.row_of_c(i);
      if (row >= slab.m || mine.count < 1) continue;
      gpu::store_global(column + slab.output.row_at(row),
                        take_elements(values + mine.place(i), T{}));
    }
    return;
  }
#pragma unroll 1
  for (int i = 0; i < Part::kRows; ++i) {
    const int64_t row = mine.row_of_c(i);
    if (row >= slab.m) continue;
    T* const to = column + slab.output.row_at(row);
#pragma unroll 1
    for (int e = 0; e < mine.count; ++e) to[e] = narrow<T>(values[mine.place(i) + e]);
  }
}

}  // namespace diabolo::kernels::cuda
