// Numbers that f32 cannot hold to the last digit (f64, integers of 32 and 64 bits): what is
// subtracted from them is subtracted in double, exactly where the two are near each other.
#pragma once

#include <cstdint>
#include <type_traits>

#include "base/dtype.h"
#include "base/error.h"

namespace diabolo {

constexpr bool is_wide(DType dtype) {
  return dtype == DType::kF64 || dtype == DType::kI32 || dtype == DType::kU32 ||
         dtype == DType::kI64 || dtype == DType::kU64;
}

// Calls function(T{}) for the C++ type of a wide dtype.
template <class Function>
void visit_wide(DType dtype, const Function& function) {
  switch (dtype) {
    case DType::kF64:
      return function(double{});
    case DType::kI32:
      return function(int32_t{});
    case DType::kU32:
      return function(uint32_t{});
    case DType::kI64:
      return function(int64_t{});
    case DType::kU64:
      return function(uint64_t{});
    default:
      DIABOLO_CHECK(false, name(dtype));
  }
}

// value - double(value), exactly: 0 but for integers beyond 2^53.
template <class T>
double beyond_double(T value) {
  if constexpr (sizeof(T) < 8 || std::is_floating_point_v<T>) {
    return 0.0;
  } else {
    // Rounding may leave T's range at its upper end, by one; there the difference wraps to the
    // same.
    constexpr double kEnd = std::is_signed_v<T> ? 0x1p63 : 0x1p64;
    constexpr uint64_t kWrapped = std::is_signed_v<T> ? uint64_t{1} << 63 : 0;
    const auto rounded = static_cast<double>(value);
    const uint64_t back =
        rounded >= kEnd ? kWrapped : static_cast<uint64_t>(static_cast<T>(rounded));
    return static_cast<double>(static_cast<int64_t>(static_cast<uint64_t>(value) - back));
  }
}

// value - (shift + rest). The first difference is exact where value and shift are within a factor
// of two of each other (Sterbenz), so that what is left has all of the value's digits.
template <class T>
double difference(T value, double shift, double rest) {
  return (static_cast<double>(value) - shift) + (beyond_double(value) - rest);
}

// value - origin, of the same type, rounded once.
template <class T>
double difference(T value, T origin) {
  if constexpr (sizeof(T) < 8 || std::is_floating_point_v<T>) {
    return static_cast<double>(value) - static_cast<double>(origin);
  } else {
    const auto a = static_cast<uint64_t>(value), b = static_cast<uint64_t>(origin);
    return value >= origin ? static_cast<double>(a - b) : -static_cast<double>(b - a);
  }
}

// A number as the sum of two doubles, the second at most half a step of the first.
struct TwoDoubles {
  double high = 0, low = 0;
};

// origin + offset; the error of the sum by Knuth's TwoSum.
template <class T>
TwoDoubles two_doubles(T origin, double offset) {
  const auto a = static_cast<double>(origin);
  const double b = beyond_double(origin) + offset;
  const double sum = a + b;
  const double b_part = sum - a;
  return {sum, (a - (sum - b_part)) + (b - b_part)};
}

}  // namespace diabolo
