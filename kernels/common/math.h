// exp, log1p, tanh, erf and the like for every scalar a kernel is written in. For float on the host
// they are branch-free polynomials that a compiler can vectorise; on the device CUDA's own; for any
// other scalar the standard library's (or the scalar's own, found by its namespace).
#pragma once

#include <bit>
#include <cmath>
#include <complex>
#include <cstdint>

#include "kernels/common/hd.h"
#include "kernels/common/scalar.h"

namespace diabolo::kernels {

// Relative error of the float versions below, in units of 2^-24, over all arguments whose result is
// normal (tests/kernels/math_test.cpp walks them). CUDA's documented bounds are no larger.
inline constexpr double kMathUlp = 4;

template <class T>
DIABOLO_HD inline T exp_of(const T& x) {
  using std::exp;
  return exp(x);
}

// log(1 + x) for x in [0, 1].
template <class T>
DIABOLO_HD inline T log1p_of(const T& x) {
  using std::log1p;
  return log1p(x);
}
inline std::complex<double> log1p_of(const std::complex<double>& x) {
  return std::log(1.0 + x);
}

// log(x) for x in (0, 1], normal; on the host.
inline float log_of_share(float x) {
  // Cephes logf: x = 2^e m with m in [sqrt(1/2), sqrt(2)), a polynomial in m - 1.
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const float half_to_one = std::bit_cast<float>((bits & 0x007fffffu) | 0x3f000000u);
  const bool is_low = half_to_one < 0.70710678f;
  const float e = static_cast<float>(static_cast<int32_t>(bits >> 23) - (is_low ? 127 : 126));
  const float r = (is_low ? 2.0f * half_to_one : half_to_one) - 1.0f;
  const float square = r * r;
  float p = 7.0376836292e-2f;
  p = p * r - 1.1514610310e-1f;
  p = p * r + 1.1676998740e-1f;
  p = p * r - 1.2420140846e-1f;
  p = p * r + 1.4249322787e-1f;
  p = p * r - 1.6668057665e-1f;
  p = p * r + 2.0000714765e-1f;
  p = p * r - 2.4999993993e-1f;
  p = p * r + 3.3333331174e-1f;
  const float tail = (p * r * square - 2.12194440e-4f * e) - 0.5f * square;
  return (r + tail) + 0.693359375f * e;
}

// sin and cos of 2 pi x for x in [0, 1]; on the host. kMathUlp holds relative to 1, not to the
// result.
struct SinCos {
  float sin, cos;
};
inline SinCos sin_cos_of_turns(float x) {
  // The nearest quarter turn, exactly; the rest is at most an eighth. Then Cephes sinf and cosf.
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const float shifted = 4.0f * x + kRound;
  const uint32_t quarter = std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(kRound);
  const float a = (x - 0.25f * (shifted - kRound)) * 6.2831853f;
  const float q = a * a;
  const float sine =
      ((-1.9515295891e-4f * q + 8.3321608736e-3f) * q - 1.6666654611e-1f) * q * a + a;
  const float cosine =
      ((2.443315711809948e-5f * q - 1.388731625493765e-3f) * q + 4.166664568298827e-2f) * q * q -
      0.5f * q + 1.0f;
  const float s = (quarter & 1) != 0 ? cosine : sine;
  const float c = (quarter & 1) != 0 ? sine : cosine;
  return {(quarter & 2) != 0 ? -s : s, ((quarter + 1) & 2) != 0 ? -c : c};
}

template <class T>
DIABOLO_HD inline T tanh_of(const T& x) {
  using std::tanh;
  return tanh(x);
}

template <class T>
DIABOLO_HD inline T erf_of(const T& x) {
  using std::erf;
  return erf(x);
}
// First order in the imaginary part, which is all that a complex step needs.
inline std::complex<double> erf_of(const std::complex<double>& x) {
  constexpr double kTwoOverSqrtPi = 1.1283791670955126;
  return {std::erf(x.real()), x.imag() * kTwoOverSqrtPi * std::exp(-x.real() * x.real())};
}

template <class T>
DIABOLO_HD inline T abs_of(const T& x) {
  return real_part(x) < real_part(T(0)) ? T(-x) : x;
}

template <class T>
DIABOLO_HD inline T sqrt_of(const T& x) {
  using std::sqrt;
  return sqrt(x);
}

#ifndef __CUDA_ARCH__
// Cody and Waite reduction by ln 2 in two parts, then the degree-5 polynomial of Cephes expf.
// Below -87.33654 (where the result would be subnormal) it gives 0, above 88.7 infinity.
template <>
DIABOLO_HD inline float exp_of<float>(const float& x) {
  const float clamped = x < -87.33654f ? -87.33654f : (x > 88.8f ? 88.8f : x);
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const float shifted = clamped * 1.44269504f + kRound;
  const float n = shifted - kRound;
  const float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  // 2^n as a product of two powers, since n = 128 alone would leave the exponent's range.
  const auto exponent =
      static_cast<int32_t>(std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(kRound));
  const int32_t first = exponent >> 1;
  const float scale_first = std::bit_cast<float>(static_cast<uint32_t>(first + 127) << 23);
  const float scale_rest =
      std::bit_cast<float>(static_cast<uint32_t>(exponent - first + 127) << 23);
  const float value = p * scale_first * scale_rest;
  const float high = x > 88.72283f ? INFINITY : value;
  return x < -87.33654f ? 0.0f : high;
}

// log(1 + x) = 2 artanh(x / (2 + x)); for x in [0, 1] the argument is at most 1/3.
template <>
DIABOLO_HD inline float log1p_of<float>(const float& x) {
  const float s = x / (2.0f + x);
  const float q = s * s;
  float p = 1.0f / 15.0f;
  p = p * q + 1.0f / 13.0f;
  p = p * q + 1.0f / 11.0f;
  p = p * q + 1.0f / 9.0f;
  p = p * q + 1.0f / 7.0f;
  p = p * q + 1.0f / 5.0f;
  p = p * q + 1.0f / 3.0f;
  return 2.0f * (s + s * (q * p));
}

// Near 0 the odd polynomial of Cephes tanhf, elsewhere 1 - 2 / (exp(2|x|) + 1).
template <>
DIABOLO_HD inline float tanh_of<float>(const float& x) {
  const float a = x < 0.0f ? -x : x;
  const float q = x * x;
  float p = -5.70498872745e-3f;
  p = p * q + 2.06390887954e-2f;
  p = p * q - 5.37397155531e-2f;
  p = p * q + 1.33314422036e-1f;
  p = p * q - 3.33332819422e-1f;
  const float small = x + x * (q * p);
  const float large = 1.0f - 2.0f / (exp_of<float>(2.0f * a) + 1.0f);
  const float signed_large = x < 0.0f ? -large : large;
  return a < 0.625f ? small : signed_large;
}

// Near 0 an odd polynomial, elsewhere 1 - exp(-q(|x|)): the fit of N. Juffa (2016), here without
// fused multiply-adds. Beyond 4 the result is 1 in float.
template <>
DIABOLO_HD inline float erf_of<float>(const float& x) {
  const float s = x * x;
  float p = -5.96761703e-4f;
  p = p * s + 4.99119423e-3f;
  p = p * s - 2.67681349e-2f;
  p = p * s + 1.12819925e-1f;
  p = p * s - 3.76125336e-1f;
  p = p * s + 1.28379166e-1f;
  const float small = p * x + x;

  const float size = x < 0.0f ? -x : x;
  const float a = size > 4.0f ? 4.0f : size;
  const float square = a * a;
  const float low = -3.88396438e-3f * a + 2.42546219e-2f;
  float q = (-1.72853470e-5f * a + 3.83197126e-4f) * square + low;
  q = q * a - 1.06777877e-1f;
  q = q * a - 6.34846687e-1f;
  q = q * a - 1.28717512e-1f;
  q = q * a - a;
  const float large = 1.0f - exp_of<float>(q);
  const float signed_large = x < 0.0f ? -large : large;
  return size > 0.927734375f ? signed_large : small;
}
#endif

}  // namespace diabolo::kernels
