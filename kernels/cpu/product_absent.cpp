// The build without oneDNN: products are refused, so nothing here is reached but the refusal.
#include <stdexcept>

#include "kernels/cpu/product.h"

namespace diabolo::kernels::cpu {

struct Product::Kernel {};
struct Product::Bound {};

const char* product_refusal(Element, const CpuFeatures&) {
  return "built without oneDNN";
}

uint64_t Product::scratch_bytes(const ProductShape&) {
  return 0;
}

Product::Product(const ProductShape&) {
  throw std::logic_error("a product was prepared in a build without oneDNN");
}

Product Product::bind(const void*, const void*, const float*, void*, void*) const {
  return *this;
}

void Product::run() const {}

}  // namespace diabolo::kernels::cpu
