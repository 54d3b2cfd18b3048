// One place that knows how each dtype is read: visit_dtype calls a generic function with the reader
// of a dtype's elements.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/dtype.h"
#include "base/error.h"
#include "base/half.h"

namespace diabolo {

// Elements stored as T, read as f32 by rounding to nearest.
template <class T>
struct Plain {
  using Stored = T;
  static float value(T stored) { return static_cast<float>(stored); }
};
struct Half {
  using Stored = uint16_t;
  static float value(uint16_t stored) { return half_to_float(stored); }
};
struct Bfloat {
  using Stored = uint16_t;
  static float value(uint16_t stored) { return std::bit_cast<float>(uint32_t{stored} << 16); }
};
struct Bool {
  using Stored = uint8_t;
  static float value(uint8_t stored) { return stored != 0 ? 1.0f : 0.0f; }
};

// The i-th element; bytes need no alignment.
template <class Reader>
float element(const std::byte* bytes, size_t i) {
  typename Reader::Stored stored;
  std::memcpy(&stored, bytes + i * sizeof(stored), sizeof(stored));
  return Reader::value(stored);
}

// 1 for NaN and infinity, which have all bits of the exponent set, else 0. In integers, without a
// branch, so that loops are vectorised.
inline uint32_t is_not_finite(float value) {
  constexpr uint32_t kExponent = 0x7f800000u;
  return (std::bit_cast<uint32_t>(value) & kExponent) == kExponent ? 1u : 0u;
}

inline bool all_finite(std::span<const float> values) {
  uint32_t found = 0;
  for (const float value : values) found |= is_not_finite(value);
  return found == 0;
}

// Calls function(Reader{}).
template <class Function>
void visit_dtype(DType dtype, const Function& function) {
  switch (dtype) {
    case DType::kF32:
      return function(Plain<float>{});
    case DType::kBf16:
      return function(Bfloat{});
    case DType::kF64:
      return function(Plain<double>{});
    case DType::kF16:
      return function(Half{});
    case DType::kU8:
      return function(Plain<uint8_t>{});
    case DType::kI8:
      return function(Plain<int8_t>{});
    case DType::kU16:
      return function(Plain<uint16_t>{});
    case DType::kI16:
      return function(Plain<int16_t>{});
    case DType::kU32:
      return function(Plain<uint32_t>{});
    case DType::kI32:
      return function(Plain<int32_t>{});
    case DType::kU64:
      return function(Plain<uint64_t>{});
    case DType::kI64:
      return function(Plain<int64_t>{});
    case DType::kBool:
      return function(Bool{});
  }
  DIABOLO_CHECK(false, static_cast<int>(dtype));
}

}  // namespace diabolo
