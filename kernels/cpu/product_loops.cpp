// Products of floats by own loops, for CPUs and builds that oneDNN does not serve.
//
// Numerics: every element of C is one chain of multiply-adds over k in order, whatever tile it
// falls into, so it depends neither on the batch nor on threads. This file alone is compiled with
// contraction to FMA: AVX2 and AVX-512 give the same bits, plain x86-64 (no FMA) others.
//
// Work split: B is packed into panels of two vectors' width, A where it is transposed into strips
// of kRows; a task is kTaskRows x kTaskPanels of C, kRows x 1 panel of it in registers at a time.
// For a few rows packing would cost more than the product, so whole panels of a row-major B are
// then read where they are: the same numbers in the same order.
#include <algorithm>
#include <cstring>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/product.h"

namespace diabolo::kernels::cpu {
namespace {

// Registers: kRows x 2 sums, 2 of B, 1 of A out of 32 (AVX-512) or 16.
template <Isa isa>
struct Tile {
  static constexpr int kWidth = isa == Isa::kAvx512 ? 16 : (isa == Isa::kAvx2 ? 8 : 4);
  static constexpr int kRows = isa == Isa::kAvx512 ? 12 : 6;
  static constexpr int kPanel = 2 * kWidth;
};

constexpr int64_t kTaskRows = 96;
constexpr int64_t kTaskPanels = 4;
constexpr int64_t kFewRows = 24;

int64_t round_up(int64_t n, int64_t step) {
  return (n + step - 1) / step * step;
}

// Where an operand's elements are: element (i, k) of A at i * outer + k * inner, (k, j) of B at
// k * inner + j.
struct Strided {
  const float* data;
  int64_t outer, inner;
};

// sums[r][j] = sum over k of a(r, k) * b(k, j), for `rows` rows and one panel.
template <Isa isa, int rows>
[[gnu::always_inline]] inline void multiply_tile(const Strided& a, const float* b, int64_t b_inner,
                                                 int64_t K, float* sums) {
  constexpr int kWidth = Tile<isa>::kWidth;
  typedef float Vector __attribute__((vector_size(kWidth * sizeof(float)), aligned(4)));
  Vector sum[rows][2] = {};
  for (int64_t k = 0; k < K; ++k) {
    const Vector b0 = *reinterpret_cast<const Vector*>(b + k * b_inner);
    const Vector b1 = *reinterpret_cast<const Vector*>(b + k * b_inner + kWidth);
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      const float value = a.data[r * a.outer + k * a.inner];
      sum[r][0] += b0 * value;
      sum[r][1] += b1 * value;
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
    *reinterpret_cast<Vector*>(sums + r * 2 * kWidth) = sum[r][0];
    *reinterpret_cast<Vector*>(sums + r * 2 * kWidth + kWidth) = sum[r][1];
  }
}

// multiply_tile for a number of rows that is known only now, at most `rows`.
template <Isa isa, int rows>
[[gnu::always_inline]] inline void multiply_rows(int64_t count, const Strided& a, const float* b,
                                                 int64_t b_inner, int64_t K, float* sums) {
  if (count == rows) return multiply_tile<isa, rows>(a, b, b_inner, K, sums);
  if constexpr (rows > 1) multiply_rows<isa, rows - 1>(count, a, b, b_inner, K, sums);
}

struct Extents {
  int64_t M, N, K;
};

template <Isa isa>
class Loops {
 public:
  explicit Loops(const ProductShape& shape)
      : shape_(shape),
        n_{shape.a.rows, shape.b.cols, shape.a.cols},
        threads_(threads_for(shape.cpu.threads, product_nanoseconds(shape))) {}

  bool packs_whole_panels() const { return shape_.b.is_transposed || n_.M > kFewRows; }
  int64_t panels() const { return chunk_count(n_.N, kPanel); }
  int64_t strips() const { return chunk_count(n_.M, kRows); }
  uint64_t panel_elems() const { return static_cast<uint64_t>(panels() * n_.K * kPanel); }
  uint64_t strip_elems() const {
    return shape_.a.is_transposed ? static_cast<uint64_t>(strips() * n_.K * kRows) : 0;
  }

  void run(const Operands& operands) const {
    auto* panel_data = static_cast<float*>(operands.scratch);
    float* strip_data = panel_data + round_up(static_cast<int64_t>(panel_elems()), 16);
    const int64_t first_packed = packs_whole_panels() ? 0 : n_.N / kPanel;
    parallel_for(threads_, panels() - first_packed, [&](int64_t p) {
      on_isa(isa, [&] { pack_panel(operands, first_packed + p, panel_data); });
    });
    if (shape_.a.is_transposed) {
      parallel_for(threads_, strips(),
                   [&](int64_t s) { on_isa(isa, [&] { pack_strip(operands, s, strip_data); }); });
    }
    const int64_t row_tasks = chunk_count(n_.M, kTaskRows);
    const int64_t panel_tasks = chunk_count(panels(), kTaskPanels);
    parallel_for(threads_, row_tasks * panel_tasks, [&](int64_t task) {
      const Range rows = chunk_range(task / panel_tasks, kTaskRows, n_.M);
      const Range columns = chunk_range(task % panel_tasks, kTaskPanels, panels());
      on_isa(isa, [&] {
        for (int64_t p = columns.begin; p < columns.end; ++p) {
          for (int64_t row = rows.begin; row < rows.end; row += kRows) {
            multiply(operands, row, std::min(kRows, rows.end - row), p, panel_data, strip_data);
          }
        }
      });
    });
  }

 private:
  static constexpr int64_t kPanel = Tile<isa>::kPanel;
  static constexpr int64_t kRows = Tile<isa>::kRows;
  static_assert(kTaskRows % kRows == 0);

  // Panel p as [K][kPanel], zeros beyond N.
  void pack_panel(const Operands& operands, int64_t p, float* panel_data) const {
    const auto* b = static_cast<const float*>(operands.b);
    const int64_t width = std::min(kPanel, n_.N - p * kPanel);
    float* to = panel_data + p * n_.K * kPanel;
    for (int64_t k = 0; k < n_.K; ++k, to += kPanel) {
      for (int64_t j = 0; j < width; ++j) {
        const int64_t column = p * kPanel + j;
        to[j] = shape_.b.is_transposed ? b[column * n_.K + k] : b[k * n_.N + column];
      }
      for (int64_t j = width; j < kPanel; ++j) to[j] = 0;
    }
  }

  // Strip s of a transposed A as [K][kRows]; rows beyond M are not read.
  void pack_strip(const Operands& operands, int64_t s, float* strip_data) const {
    const auto* a = static_cast<const float*>(operands.a);
    const int64_t rows = std::min(kRows, n_.M - s * kRows);
    float* to = strip_data + s * n_.K * kRows;
    for (int64_t k = 0; k < n_.K; ++k, to += kRows) {
      for (int64_t r = 0; r < rows; ++r) to[r] = a[k * n_.M + s * kRows + r];
    }
  }

  // Rows [row, row + count) of panel p. Inlined by force, as what it calls: it must be compiled for
  // its caller's instruction set, and clang's `flatten` reaches one level only.
  [[gnu::always_inline]] void multiply(const Operands& operands, int64_t row, int64_t count,
                                       int64_t p, const float* panel_data,
                                       const float* strip_data) const {
    const Strided a = shape_.a.is_transposed
                          ? Strided{strip_data + row * n_.K, 1, kRows}
                          : Strided{static_cast<const float*>(operands.a) + row * n_.K, n_.K, 1};
    const bool is_whole = (p + 1) * kPanel <= n_.N;
    const bool is_packed = packs_whole_panels() || !is_whole;
    const float* b = is_packed ? panel_data + p * n_.K * kPanel
                               : static_cast<const float*>(operands.b) + p * kPanel;
    alignas(64) float sums[kRows * kPanel];
    multiply_rows<isa, kRows>(count, a, b, is_packed ? kPanel : n_.N, n_.K, sums);
    const int64_t width = std::min(kPanel, n_.N - p * kPanel);
    for (int64_t r = 0; r < count; ++r) {
      float* c = static_cast<float*>(operands.c) + (row + r) * n_.N + p * kPanel;
      const float* from = sums + r * kPanel;
      for (int64_t j = 0; j < width; ++j) {
        const float bias = operands.bias ? operands.bias[p * kPanel + j] : 0.0f;
        c[j] = shape_.accumulates ? c[j] + from[j] : from[j] + bias;
      }
    }
  }

  ProductShape shape_;
  Extents n_;
  int threads_;
};

template <Isa isa>
class LoopProduct final : public Product {
 public:
  explicit LoopProduct(const ProductShape& shape) : loops_(shape) {}

  uint64_t scratch_bytes() const override {
    const auto panels =
        static_cast<uint64_t>(round_up(static_cast<int64_t>(loops_.panel_elems()), 16));
    return (panels + loops_.strip_elems()) * sizeof(float);
  }
  std::function<void()> bind(const Operands& operands) const override {
    return [loops = loops_, operands] { loops.run(operands); };
  }

 private:
  Loops<isa> loops_;
};

}  // namespace

std::unique_ptr<const Product> make_loop_product(const ProductShape& shape) {
  switch (isa_of(shape.cpu)) {
    case Isa::kAvx512:
      return std::make_unique<const LoopProduct<Isa::kAvx512>>(shape);
    case Isa::kAvx2:
      return std::make_unique<const LoopProduct<Isa::kAvx2>>(shape);
    case Isa::kBaseline:
      break;
  }
  return std::make_unique<const LoopProduct<Isa::kBaseline>>(shape);
}

}  // namespace diabolo::kernels::cpu
