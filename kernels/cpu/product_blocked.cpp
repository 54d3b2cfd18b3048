// A product by a matrix that is too large for a core's cache: the sum, in order, of oneDNN's
// products of blocks of K. Few rows are bound by reading that matrix, so their blocks are shared
// out to the threads; the blocks are those of the shape alone, so that the bits are the same for
// any batch and any number of threads.
//
// Not columns: oneDNN 2.6 leaves matrices with gaps between rows to a product whose rows depend on
// their batch. Blocks of K of a row-major B have none, and those of A are copied. Measured for 4096
// x 4096 and 256 rows, one core: 0.2 % more than the whole in f32 (four blocks), 1.9 % in bf16
// (two; four would be 3.7 %). One row: 6.8 ms whole, 3.8 by two threads; in bf16 4.7 and 2.2.
#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/product.h"

namespace diabolo::kernels::cpu {
namespace {

constexpr int64_t kBlockBytes = 4096;  // of a column of B
constexpr int64_t kInnerUnit = 64;
// Results that one thread adds up at a time.
constexpr int64_t kAddChunk = 8192;

int64_t bytes_of(Element element) {
  return element == Element::kBf16 ? 2 : 4;
}

uint64_t align(int64_t bytes) {
  return (static_cast<uint64_t>(bytes) + 63) / 64 * 64;
}

// Blocks of about kBlockBytes, the last one the smallest; K where one is enough.
int64_t inner_block(const ProductShape& shape) {
  const int64_t inner = shape.b.rows;
  const int64_t blocks = std::max<int64_t>(1, inner * bytes_of(shape.b.element) / kBlockBytes);
  if (blocks == 1) return inner;
  return chunk_count(chunk_count(inner, blocks), kInnerUnit) * kInnerUnit;
}

class BlockedProduct final : public Product {
 public:
  BlockedProduct(const ProductShape& shape, int threads)
      : rows_(shape.a.rows),
        columns_(shape.b.cols),
        a_(shape.a),
        b_(shape.b),
        c_(shape.c),
        block_(inner_block(shape)),
        threads_(threads),
        isa_(isa_of(shape.cpu)) {
    for (int64_t k = 0; k < chunk_count(b_.rows, block_); ++k) {
      const Range inner = range(k);
      ProductShape one = shape;
      one.a = {a_.element, rows_, inner.size(), false};
      one.b = {b_.element, inner.size(), columns_, false};
      one.c = Element::kF32;
      one.c_stride = 0;
      one.has_bias = shape.has_bias && k == 0;
      blocks_.push_back(make_onednn_product(one));
      for (const auto& block : blocks_) own_ = std::max(own_, block->scratch_bytes());
    }
  }

  uint64_t scratch_bytes() const override {
    return (rounds_result() ? sum_bytes() : 0) + static_cast<uint64_t>(lanes()) * lane_bytes();
  }

  std::function<void()> bind(const Operands& operands) const override {
    auto* scratch = static_cast<char*>(operands.scratch);
    auto* sums = static_cast<float*>(rounds_result() ? operands.scratch : operands.c);
    if (rounds_result()) scratch += sum_bytes();
    std::vector<Step> steps;
    for (int64_t k = 0; k < static_cast<int64_t>(blocks_.size()); ++k) {
      char* lane = scratch + static_cast<uint64_t>(k % lanes()) * lane_bytes();
      Operands own;
      own.a = lane;
      own.b =
          static_cast<const char*>(operands.b) + range(k).begin * columns_ * bytes_of(b_.element);
      own.bias = k == 0 ? operands.bias : nullptr;
      auto* part = reinterpret_cast<float*>(lane + a_bytes());
      own.c = k == 0 ? sums : part;
      own.scratch = lane + a_bytes() + sum_bytes();
      steps.push_back({blocks_[static_cast<size_t>(k)]->bind(own), lane, part});
    }
    return [call = Call{*this, operands, sums, std::move(steps)}] { call.run(); };
  }

 private:
  struct Step {
    std::function<void()> product;
    char* a;  // where its block of A goes
    float* part;
  };

  // A bound product; it may outlive its maker.
  struct Call {
    Call(const BlockedProduct& of, const Operands& operands_in, float* sums_in,
         std::vector<Step> steps_in)
        : rows(of.rows_),
          columns(of.columns_),
          inner(of.b_.rows),
          block(of.block_),
          a_stride(of.a_.row_stride()),
          element_bytes(bytes_of(of.a_.element)),
          threads(of.threads_),
          rounds(of.rounds_result()),
          isa(of.isa_),
          operands(operands_in),
          sums(sums_in),
          steps(std::move(steps_in)) {}

    int64_t rows, columns, inner, block, a_stride, element_bytes;
    int threads;
    bool rounds;
    Isa isa;
    Operands operands;
    float* sums;
    std::vector<Step> steps;

    void multiply(int64_t k) const {
      const Step& step = steps[static_cast<size_t>(k)];
      const Range range = chunk_range(k, block, inner);
      const auto bytes = static_cast<size_t>(range.size() * element_bytes);
      const char* from = static_cast<const char*>(operands.a) + range.begin * element_bytes;
      for (int64_t row = 0; row < rows; ++row)
        std::memcpy(step.a + static_cast<size_t>(row) * bytes,
                    from + row * a_stride * element_bytes, bytes);
      step.product();
    }

    // Results [range] += those of block k.
    void add(int64_t k, Range range) const {
      const float* part = steps[static_cast<size_t>(k)].part;
      float* to = sums;
      on_isa(isa, [&] {
        DIABOLO_IVDEP
        for (int64_t i = range.begin; i < range.end; ++i) to[i] += part[i];
      });
    }

    void round(Range range) const {
      if (!rounds) return;
      auto* to = static_cast<Bf16*>(operands.c) + range.begin;
      on_isa(isa, [&] { narrow_block(sums + range.begin, to, range.size()); });
    }

    void run() const {
      const auto count = static_cast<int64_t>(steps.size());
      const int64_t results = rows * columns;
      if (threads == 1) {
        for (int64_t k = 0; k < count; ++k) {
          multiply(k);
          if (k > 0) add(k, {0, results});
        }
        return round({0, results});
      }
      guarded_parallel_for(threads, count, [this](int64_t k) { multiply(k); });
      const double nanoseconds = 0.2 * static_cast<double>(results * count);
      parallel_for(threads_for(threads, nanoseconds), chunk_count(results, kAddChunk),
                   [&](int64_t chunk) {
                     const Range range = chunk_range(chunk, kAddChunk, results);
                     for (int64_t k = 1; k < count; ++k) add(k, range);
                     round(range);
                   });
    }
  };

  Range range(int64_t k) const { return chunk_range(k, block_, b_.rows); }
  bool rounds_result() const { return c_ == Element::kBf16; }
  // Blocks under way at once, each with memory of its own.
  int64_t lanes() const { return threads_ == 1 ? 1 : static_cast<int64_t>(blocks_.size()); }
  uint64_t a_bytes() const { return align(rows_ * block_ * bytes_of(a_.element)); }
  uint64_t sum_bytes() const { return align(rows_ * columns_ * 4); }
  uint64_t lane_bytes() const {
    return a_bytes() + sum_bytes() + align(static_cast<int64_t>(own_));
  }

  int64_t rows_, columns_;
  Matrix a_, b_;
  Element c_;
  int64_t block_;
  int threads_;
  Isa isa_;
  std::vector<std::unique_ptr<const Product>> blocks_;
  uint64_t own_ = 0;  // scratch of one block's product
};

}  // namespace

bool is_blocked(const ProductShape& shape) {
  const bool is_plain = !shape.a.is_transposed && !shape.b.is_transposed && !shape.accumulates;
  const bool is_forward = !shape.may_cut_columns;
  const auto bytes = static_cast<uint64_t>(shape.b.rows * shape.b.cols * bytes_of(shape.b.element));
  return is_plain && is_forward && bytes >= kLargeWeightBytes && inner_block(shape) < shape.b.rows;
}

std::unique_ptr<const Product> make_blocked_product(const ProductShape& shape, int threads) {
  return std::make_unique<const BlockedProduct>(shape, threads);
}

}  // namespace diabolo::kernels::cpu
