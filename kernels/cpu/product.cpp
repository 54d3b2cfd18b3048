// The choice between oneDNN and own loops. Without AVX-512 oneDNN 2.6's matmul falls to a general
// product whose rows depend on the batch that they are in (measured: 784x512, 1 row against 600),
// which common/kernel.h promises they do not; the loops take that place.
#include "kernels/cpu/product.h"

#include <algorithm>

namespace diabolo::kernels::cpu {
namespace {

#if DIABOLO_HAS_ONEDNN
constexpr bool kHasOneDnn = true;
#else
constexpr bool kHasOneDnn = false;
#endif

}  // namespace

const char* product_refusal(Element element, const CpuFeatures& cpu) {
  if (element == Element::kF32) return nullptr;
  if (!kHasOneDnn) return "built without oneDNN";
  return cpu.has_bf16 ? nullptr : "this CPU has no bf16 instructions";
}

// Multiply-adds of whole vectors of columns, or the reading of the weights where there are few
// rows.
double product_nanoseconds(const ProductShape& shape) {
  constexpr double kFlopsPerNanosecond = 100;
  constexpr double kBytesPerNanosecond = 30;
  constexpr int64_t kVector = 16;
  const auto rows = static_cast<double>(shape.a.rows), inner = static_cast<double>(shape.a.cols);
  const auto columns = static_cast<double>((shape.b.cols + kVector - 1) / kVector * kVector);
  const double weight_bytes = inner * columns * (shape.b.element == Element::kBf16 ? 2 : 4);
  return std::max(2 * rows * columns * inner / kFlopsPerNanosecond,
                  weight_bytes / kBytesPerNanosecond);
}

std::unique_ptr<const Product> make_product(const ProductShape& shape) {
#if DIABOLO_HAS_ONEDNN
  if (shape.a.element == Element::kBf16 || shape.cpu.has_avx512) return make_split_product(shape);
#endif
  return make_loop_product(shape);
}

}  // namespace diabolo::kernels::cpu
