#include "base/dtype.h"

#include <array>

#include "base/error.h"

namespace diabolo {
namespace {

struct Row {
  DType dtype;
  const char* name;
  uint64_t size_bytes;
  bool is_float;
};

constexpr std::array kRows = {
    Row{DType::kF32, "f32", 4, true},    Row{DType::kBf16, "bf16", 2, true},
    Row{DType::kF64, "f64", 8, true},    Row{DType::kF16, "f16", 2, true},
    Row{DType::kU8, "u8", 1, false},     Row{DType::kI8, "i8", 1, false},
    Row{DType::kU16, "u16", 2, false},   Row{DType::kI16, "i16", 2, false},
    Row{DType::kU32, "u32", 4, false},   Row{DType::kI32, "i32", 4, false},
    Row{DType::kU64, "u64", 8, false},   Row{DType::kI64, "i64", 8, false},
    Row{DType::kBool, "bool", 1, false},
};

const Row& row(DType dtype) {
  const auto index = static_cast<size_t>(dtype);
  DIABOLO_CHECK(index < kRows.size() && kRows[index].dtype == dtype, index);
  return kRows[index];
}

}  // namespace

uint64_t size_bytes(DType dtype) {
  return row(dtype).size_bytes;
}
const char* name(DType dtype) {
  return row(dtype).name;
}
bool is_float(DType dtype) {
  return row(dtype).is_float;
}

std::optional<DType> dtype_from_name(std::string_view text) {
  for (const Row& r : kRows)
    if (text == r.name) return r.dtype;
  return std::nullopt;
}

}  // namespace diabolo
