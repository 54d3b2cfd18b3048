// Element types of tensors and files.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace diabolo {

enum class DType : uint8_t {
  kF32,
  kBf16,
  kF64,
  kF16,
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kU64,
  kI64,
  kBool,
};

uint64_t size_bytes(DType dtype);  // bytes of one element
const char* name(DType dtype);     // "f32", "bf16", "u8" …
bool is_float(DType dtype);
std::optional<DType> dtype_from_name(std::string_view text);

}  // namespace diabolo
