// What the dense kernels share: a product over chunks of rows, so that what it writes is still in
// the cache when the pass behind it reads it.
#pragma once

#include <type_traits>
#include <vector>

#include "kernels/common/scalar.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/product.h"
#include "kernels/dense.h"

namespace diabolo::kernels::cpu {

// Rows of a chunk. Measured on 784-512-256-32 with 2 cores of an EPYC 9005 (AVX-512): from 256 to
// 1024 rows equally fast, 4096 at once slower.
inline constexpr int64_t kRowChunk = 512;

template <class T>
constexpr Element element_of() {
  return std::is_same_v<T, Bf16> ? Element::kBf16 : Element::kF32;
}

// rows x I times I x O, the weights as the layer stores them; with `of_gradient` rows x O times
// their transpose.
struct RowProduct {
  DenseShape shape;
  bool of_gradient = false;
  Element element = Element::kF32;
  Element result = Element::kF32;
  bool has_bias = false;
  CpuFeatures cpu;

  int64_t in_width() const { return of_gradient ? shape.O : shape.I; }
  int64_t out_width() const { return of_gradient ? shape.I : shape.O; }
  ProductShape chunk(int64_t rows) const {
    const Matrix a{element, rows, in_width(), false};
    const Matrix b{element, in_width(), out_width(), shape.weight_transposed != of_gradient};
    return {a, b, result, has_bias, false, cpu, 0, of_gradient};
  }
};

// Elements of the result of one whole chunk: what a pass behind it goes over.
inline int64_t chunk_elems(const RowProduct& p) {
  return std::min(p.shape.B, kRowChunk) * p.out_width();
}

inline uint64_t align_64(uint64_t bytes) {
  return (bytes + 63) / 64 * 64;
}

// Scratch of the products of all chunks: they run one after the other and share it.
inline uint64_t product_scratch(const RowProduct& p) {
  const int64_t B = p.shape.B;
  const int64_t tail = B % kRowChunk;
  uint64_t bytes = 0;
  if (B >= kRowChunk) bytes = make_product(p.chunk(kRowChunk))->scratch_bytes();
  if (tail > 0) bytes = std::max(bytes, make_product(p.chunk(tail))->scratch_bytes());
  return align_64(bytes);
}

// One chunk: its product, bound, and the rows that it makes.
struct RowStep {
  std::function<void()> product;
  Range rows;
};

// The chunks of A [B, in_width] times the weights into C. With `c_stays` every chunk writes to the
// same place, as large as one chunk; else to its own rows.
inline std::vector<RowStep> row_steps(const RowProduct& p, const void* a, const void* weight,
                                      const float* bias, void* c, bool c_stays, void* scratch) {
  const auto bytes = [](Element element) { return element == Element::kBf16 ? 2 : 4; };
  const int64_t a_row = p.in_width() * bytes(p.element);
  const int64_t c_row = p.out_width() * bytes(p.result);
  const int64_t B = p.shape.B;
  std::vector<RowStep> steps;
  const auto append = [&](const Product& product, Range rows) {
    const auto* from = static_cast<const char*>(a) + rows.begin * a_row;
    auto* to = static_cast<char*>(c) + (c_stays ? 0 : rows.begin * c_row);
    steps.push_back({product.bind({from, weight, bias, to, scratch}), rows});
  };
  const int64_t whole = B / kRowChunk;
  if (whole > 0) {
    const auto product = make_product(p.chunk(kRowChunk));
    for (int64_t k = 0; k < whole; ++k) append(*product, chunk_range(k, kRowChunk, B));
  }
  if (B % kRowChunk > 0) {
    append(*make_product(p.chunk(B % kRowChunk)), chunk_range(whole, kRowChunk, B));
  }
  return steps;
}

// Bytes of a chunk of floats that c_stays wants.
inline uint64_t staged_bytes(const RowProduct& p) {
  const int64_t rows = std::min(p.shape.B, kRowChunk);
  return align_64(static_cast<uint64_t>(rows) * static_cast<uint64_t>(p.out_width()) *
                  sizeof(float));
}

template <template <class> class Record, class T>
const char* refusal_of(const Record<T>&, const CpuFeatures& cpu) {
  return product_refusal(element_of<T>(), cpu);
}

}  // namespace diabolo::kernels::cpu

// The three overloads of a dense record; the file has scratch_of and make, and a refusal_of where a
// record has more to refuse.
#define DIABOLO_CPU_DEFINE_DENSE(Record, T)                                      \
  const char* refusal(const Record<T>& call, const CpuFeatures& cpu) {           \
    return refusal_of(call, cpu);                                                \
  }                                                                              \
  uint64_t scratch_bytes(const Record<T>& call, const CpuFeatures& cpu) {        \
    return scratch_of(call, cpu);                                                \
  }                                                                              \
  Launch prepare(const Record<T>& call, const CpuFeatures& cpu, void* scratch) { \
    return make(call, cpu, scratch);                                             \
  }
