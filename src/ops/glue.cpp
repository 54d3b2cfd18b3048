#include "ops/glue.h"

namespace diabolo {

void* unbound() {
  alignas(256) static char place[256];
  return place;
}

int64_t row_elems(const TensorDesc& desc) {
  int64_t elems = 1;
  for (const int64_t extent : desc.extents().subspan(1)) elems *= extent;
  return elems;
}

Cost streamed(double flops, std::span<const TensorDesc> in, std::span<const TensorDesc> out) {
  Cost cost{.flops = flops};
  for (const TensorDesc& desc : in) cost.bytes += static_cast<double>(desc.bytes());
  for (const TensorDesc& desc : out) cost.bytes += static_cast<double>(desc.bytes());
  return cost;
}

namespace glue {

void expect(bool holds, const char* operand, const std::string& wanted, const TensorDesc& found) {
  if (holds) return;
  throw Error(ErrorCode::kUsage, cat(operand, ": expected ", wanted, ", found ", found.text()));
}

void expect_desc(const char* operand, const TensorDesc& wanted, const TensorDesc& found) {
  expect(wanted == found, operand, wanted.text(), found);
}

void expect_count(size_t wanted, size_t found) {
  if (wanted == found) return;
  throw Error(ErrorCode::kUsage, cat("expected ", wanted, " inputs, found ", found));
}

void expect_compute_type(const char* operand, const TensorDesc& found) {
  const DType dtype = found.dtype();
  expect(dtype == DType::kF32 || dtype == DType::kBf16 || dtype == DType::kF64, operand,
         "f32, bf16 or f64", found);
}

void expect_rows(const char* operand, const TensorDesc& found) {
  expect_compute_type(operand, found);
  expect(found.rank() >= 2, operand, "at least two extents, the first of them rows", found);
}

DType accum_dtype(DType dtype) {
  return dtype == DType::kBf16 ? DType::kF32 : dtype;
}

}  // namespace glue
}  // namespace diabolo
