// A product of oneDNN's cut into rectangles of C, one for each thread that is worth waking. Each is
// a product of its own on one thread, with the whole of K.
//
// Cut between rows, the bits of C stay those of one thread (measured for forward rows and both
// gradients, f32 and bf16). Cut between columns they may not: how oneDNN blocks K depends on the
// number of columns. So columns are cut only in gradients, where there are too few rows for the
// threads.
#include <vector>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/product.h"

namespace diabolo::kernels::cpu {
namespace {

// Edges of rectangles: whole registers of rows and whole cache lines of columns.
constexpr int64_t kRowUnit = 8;
constexpr int64_t kColumnUnit = 64;

int64_t bytes_of(Element element) {
  return element == Element::kBf16 ? 2 : 4;
}

struct Grid {
  int64_t rows = 1, columns = 1;  // parts, not elements
};

// Part `index` of `parts` of n elements, cut between units; empty where there are more parts.
Range part(int64_t index, int64_t parts, int64_t n, int64_t unit) {
  const int64_t units = chunk_count(n, unit);
  return {std::min(n, units * index / parts * unit),
          std::min(n, units * (index + 1) / parts * unit)};
}

int64_t largest_part(int64_t parts, int64_t n, int64_t unit) {
  return std::min(n, chunk_count(chunk_count(n, unit), parts) * unit);
}

// The grid of the fewest columns, unless another's largest rectangle is smaller by a quarter.
Grid grid_for(int threads, const ProductShape& shape) {
  constexpr double kWorth = 0.75;
  Grid best;
  auto least = static_cast<double>(shape.a.rows * shape.b.cols) / kWorth;
  for (int64_t rows = threads; rows >= (shape.may_cut_columns ? 1 : threads); --rows) {
    const Grid grid{rows, threads / rows};
    const auto area = static_cast<double>(largest_part(grid.rows, shape.a.rows, kRowUnit) *
                                          largest_part(grid.columns, shape.b.cols, kColumnUnit));
    if (area >= kWorth * least) continue;
    best = grid;
    least = area;
  }
  return best;
}

Matrix cut(const Matrix& m, Range rows, Range columns) {
  return {m.element, rows.size(), columns.size(), m.is_transposed, m.row_stride()};
}

int64_t offset_of(const Matrix& m, int64_t row, int64_t column) {
  const int64_t elems =
      m.is_transposed ? column * m.row_stride() + row : row * m.row_stride() + column;
  return elems * bytes_of(m.element);
}

// On one thread.
std::unique_ptr<const Product> make_single(const ProductShape& shape) {
  return is_blocked(shape) ? make_blocked_product(shape, 1) : make_onednn_product(shape);
}

struct Rectangle {
  Range rows, columns;
  std::unique_ptr<const Product> product;
};

class SplitProduct final : public Product {
 public:
  SplitProduct(const ProductShape& shape, const Grid& grid) : shape_(shape) {
    for (int64_t k = 0; k < grid.rows * grid.columns; ++k) {
      const Range rows = part(k / grid.columns, grid.rows, shape.a.rows, kRowUnit);
      const Range columns = part(k % grid.columns, grid.columns, shape.b.cols, kColumnUnit);
      if (rows.size() == 0 || columns.size() == 0) continue;
      const Range inner{0, shape.a.cols};
      ProductShape one = shape;
      one.a = cut(shape.a, rows, inner);
      one.b = cut(shape.b, inner, columns);
      one.c_stride = c_stride();
      parts_.push_back({rows, columns, make_single(one)});
    }
  }

  uint64_t scratch_bytes() const override {
    uint64_t sum = 0;
    for (const Rectangle& rectangle : parts_) sum += scratch_of(rectangle);
    return sum;
  }

  std::function<void()> bind(const Operands& operands) const override {
    std::vector<std::function<void()>> calls;
    auto* scratch = static_cast<char*>(operands.scratch);
    for (const Rectangle& rectangle : parts_) {
      Operands own = of_rectangle(operands, rectangle);
      own.scratch = scratch;
      calls.push_back(rectangle.product->bind(own));
      if (scratch) scratch += scratch_of(rectangle);
    }
    return [calls = std::move(calls)] { run(calls); };
  }

 private:
  static uint64_t scratch_of(const Rectangle& rectangle) {
    return (rectangle.product->scratch_bytes() + 63) / 64 * 64;
  }

  int64_t c_stride() const { return shape_.c_stride > 0 ? shape_.c_stride : shape_.b.cols; }

  Operands of_rectangle(const Operands& whole, const Rectangle& r) const {
    Operands own;
    own.a = static_cast<const char*>(whole.a) + offset_of(shape_.a, r.rows.begin, 0);
    own.b = static_cast<const char*>(whole.b) + offset_of(shape_.b, 0, r.columns.begin);
    own.bias = whole.bias ? whole.bias + r.columns.begin : nullptr;
    own.c = static_cast<char*>(whole.c) +
            (r.rows.begin * c_stride() + r.columns.begin) * bytes_of(shape_.c);
    return own;
  }

  static void run(const std::vector<std::function<void()>>& calls) {
    const auto count = static_cast<int64_t>(calls.size());
    guarded_parallel_for(static_cast<int>(count), count,
                         [&](int64_t k) { calls[static_cast<size_t>(k)](); });
  }

  ProductShape shape_;
  std::vector<Rectangle> parts_;
};

}  // namespace

std::unique_ptr<const Product> make_split_product(const ProductShape& shape) {
  const int threads = threads_for(shape.cpu.threads, product_nanoseconds(shape));
  // Cut between rows, each thread would read all of the weights.
  if (threads > 1 && shape.a.rows <= kSharedRows && is_blocked(shape))
    return make_blocked_product(shape, threads);
  const Grid grid = grid_for(threads, shape);
  if (grid.rows * grid.columns == 1) return make_single(shape);
  return std::make_unique<const SplitProduct>(shape, grid);
}

}  // namespace diabolo::kernels::cpu
