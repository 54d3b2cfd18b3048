// The one place that knows oneDNN: a matrix product C = A B (+ bias) with addresses fixed when it
// is made. Written against oneDNN 2.6's and 3's common ground; where the two differ product.cpp
// asks DNNL_VERSION_MAJOR.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/cpu/features.h"

namespace diabolo::kernels::cpu {

enum class Element : uint8_t { kF32, kBf16 };

// A matrix in memory: row-major, or the transpose of a row-major one.
struct Matrix {
  Element element = Element::kF32;
  int64_t rows = 0, cols = 0;
  bool is_transposed = false;  // stored [cols, rows]
};

// C [a.rows, b.cols] is row-major; sums are formed in float whatever the elements are.
struct ProductShape {
  Matrix a, b;
  Element c = Element::kF32;
  bool has_bias = false;     // C = A B + bias, a float per column
  bool accumulates = false;  // C += A B
  int threads = 1;
};

// Null, or why there is no such product here.
const char* product_refusal(Element element, const CpuFeatures& cpu);

class Product {
 public:
  // Bytes of scratch, 64-byte aligned.
  static uint64_t scratch_bytes(const ProductShape& shape);

  // A product that is not bound to addresses yet; bind() makes one that is and shares the code.
  explicit Product(const ProductShape& shape);
  Product bind(const void* a, const void* b, const float* bias, void* c, void* scratch) const;

  void run() const;

 private:
  struct Kernel;
  struct Bound;
  std::shared_ptr<const Kernel> kernel_;
  std::shared_ptr<const Bound> bound_;
};

}  // namespace diabolo::kernels::cpu
