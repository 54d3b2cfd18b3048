// Scalar types of kernels: bf16, what a type is accumulated in, and the two-line helpers that let a
// reference run on real numbers, on complex ones (complex-step differentiation) and on tracked ones
// (error bounds, src/selftest).
#pragma once

#include <bit>
#include <complex>
#include <cstdint>

#include "kernels/common/hd.h"

namespace diabolo::kernels {

// The upper half of an IEEE binary32.
struct Bf16 {
  uint16_t bits;
};

DIABOLO_HD inline float to_float(Bf16 value) {
  return std::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16);
}

// Rounds to nearest, ties to even; a NaN stays a (quiet) NaN.
DIABOLO_HD inline Bf16 to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

// The type that products and sums of T are formed in.
template <class T>
struct AccumOf {
  using Type = T;
};
template <>
struct AccumOf<Bf16> {
  using Type = float;
};
template <class T>
using Accum = typename AccumOf<T>::Type;

template <class T>
DIABOLO_HD inline Accum<T> widen(const T& value) {
  return value;
}
template <>
DIABOLO_HD inline float widen<Bf16>(const Bf16& value) {
  return to_float(value);
}

template <class T>
DIABOLO_HD inline T narrow(const Accum<T>& value) {
  return value;
}
template <>
DIABOLO_HD inline Bf16 narrow<Bf16>(const float& value) {
  return to_bf16(value);
}

// What a branch looks at: the real part, so that a complex step follows the branch of its point.
template <class T>
DIABOLO_HD inline auto real_part(const T& value) {
  return value;
}
inline double real_part(const std::complex<double>& value) {
  return value.real();
}

}  // namespace diabolo::kernels
