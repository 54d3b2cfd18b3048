// The choice between oneDNN and own loops. Without AVX-512 oneDNN 2.6's matmul falls to a general
// product whose rows depend on the batch that they are in (measured: 784x512, 1 row against 600),
// which cpu.h promises they do not; the loops take that place.
#include "kernels/cpu/product.h"

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

std::unique_ptr<const Product> make_product(const ProductShape& shape) {
#if DIABOLO_HAS_ONEDNN
  if (shape.a.element == Element::kBf16 || shape.cpu.has_avx512) return make_onednn_product(shape);
#endif
  return make_loop_product(shape);
}

}  // namespace diabolo::kernels::cpu
