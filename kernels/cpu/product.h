// A matrix product C = A B (+ bias), with addresses fixed when it is bound. Two makers: oneDNN's
// matmul (product_onednn.cpp, the one place that knows oneDNN), and own loops for floats where
// oneDNN is not built in or would break a promise (product_loops.cpp).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "kernels/cpu/features.h"

namespace diabolo::kernels::cpu {

// Weights of a layer that no core's cache holds: a few rows are bound by reading them, and are
// worth more than one thread for that alone.
inline constexpr uint64_t kLargeWeightBytes = uint64_t{16} << 20;
inline constexpr int64_t kSharedRows = 32;

enum class Element : uint8_t { kF32, kBf16 };

// A matrix in memory: row-major, or the transpose of a row-major one.
struct Matrix {
  Element element = Element::kF32;
  int64_t rows = 0, cols = 0;
  bool is_transposed = false;  // stored [cols, rows]
  int64_t stride = 0;          // elements from one stored row to the next; 0: they are dense

  int64_t row_stride() const { return stride > 0 ? stride : (is_transposed ? rows : cols); }
};

// C [a.rows, b.cols] is row-major; sums are formed in float whatever the elements are.
struct ProductShape {
  Matrix a, b;
  Element c = Element::kF32;
  bool has_bias = false;     // C = A B + bias, a float per column
  bool accumulates = false;  // C += A B; not with a bias
  CpuFeatures cpu;
  int64_t c_stride = 0;          // elements from one row of C to the next; 0: it is dense
  bool may_cut_columns = false;  // between threads; bits may then depend on their number
};

struct Operands {
  const void* a = nullptr;
  const void* b = nullptr;
  const float* bias = nullptr;
  void* c = nullptr;
  void* scratch = nullptr;  // 64-byte aligned
};

class Product {
 public:
  virtual ~Product() = default;
  virtual uint64_t scratch_bytes() const = 0;
  // The call, which allocates nothing. It may outlive this object.
  virtual std::function<void()> bind(const Operands& operands) const = 0;
};

// Nanoseconds that one core takes for it, roughly.
double product_nanoseconds(const ProductShape& shape);

// Null, or why there is no product of such elements here.
const char* product_refusal(Element element, const CpuFeatures& cpu);

std::unique_ptr<const Product> make_product(const ProductShape& shape);

// The instruction sets that oneDNN uses here: it knows some CPUs less well than we do, and obeys
// DNNL_MAX_CPU_ISA of the environment.
struct OneDnnSets {
  bool has_avx512 = false, has_bf16 = false;
};
OneDnnSets onednn_sets();

// The two makers. Loops take floats only, and dense matrices. onednn: on the calling thread alone;
// throws std::bad_alloc where memory is short.
std::unique_ptr<const Product> make_onednn_product(const ProductShape& shape);
// One of oneDNN's for each thread that is worth it, each with rows of C of its own; where there are
// too few rows for that and the shape allows it, columns too.
std::unique_ptr<const Product> make_split_product(const ProductShape& shape);
// Forward products by large row-major weights (kLargeWeightBytes) are defined as sums of blocks,
// for any number of rows; the threads share the blocks.
bool is_blocked(const ProductShape& shape);
std::unique_ptr<const Product> make_blocked_product(const ProductShape& shape, int threads);
std::unique_ptr<const Product> make_loop_product(const ProductShape& shape);

}  // namespace diabolo::kernels::cpu
