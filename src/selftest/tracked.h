// Tracked: a number that knows how far a correct kernel may be from it.
//
// A reference of kernels/*.h, run on Tracked, computes in double and carries with every value a
// bound on the distance between it and what the same expression gives in float, whatever the order
// of the sums and whether or not products are fused into them (running error analysis, Higham,
// Accuracy and Stability of Numerical Algorithms, section 3.3, made independent of the order):
//
//   a sum of n terms t_i      sum err(t_i) + (n - 1) u sum |t_i|
//   a product a b             |a| err(b) + |b| err(a) + u |a b|
//   exp, log1p, tanh, erf     the condition times err, + kMathUlp u |result|
//
// u is the unit roundoff. So the tolerance of a test is derived from the definition of the op, per
// element, and nobody writes one.
//
// Exactness is followed too. Each value has a quantum, a power of two that divides all its terms;
// a sum whose terms are exact and whose sum |t_i| is below 2^24 quanta is exact in every order. So
// on integers the bound is 0, and a kernel must give exactly that.
//
// A comparison that the error could turn (relu at z = 1e-9) is counted, and resolved as
// `ambiguity.choice` says: whoever checks runs the reference with each choice and accepts any.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/common/math.h"

namespace diabolo::selftest {

// What a kernel computes in.
struct InF32 {
  static constexpr double kUnit = 0x1p-24;
  static constexpr double kExactQuanta = 0x1p24;  // integers up to here are exact
  static constexpr double kOperandUnit = 0;       // a product's operands are taken as they are
  static constexpr double kTiny = 0x1p-125;       // what flushing subnormals may cost
};
// f32 whose products round their operands to tf32 (11 significant bits) first.
struct InTf32 : InF32 {
  static constexpr double kOperandUnit = 0x1p-11;
};
struct InF64 {
  static constexpr double kUnit = 0x1p-53;
  static constexpr double kExactQuanta = 0x1p53;
  static constexpr double kOperandUnit = 0;
  static constexpr double kTiny = 0x1p-1021;
};

// How comparisons that the error could turn are resolved, and how many there were.
struct Ambiguity {
  enum class Choice { kByValue, kTrue, kFalse };
  Choice choice = Choice::kByValue;
  int64_t count = 0;
};
inline thread_local Ambiguity ambiguity;

// The largest power of two that divides a finite x; infinity for 0.
inline double quantum_of(double x) {
  if (x == 0) return std::numeric_limits<double>::infinity();
  if (!std::isfinite(x)) return 0;
  int exponent = 0;
  const double mantissa = std::frexp(std::fabs(x), &exponent);  // in [0.5, 1)
  const auto digits = static_cast<uint64_t>(std::ldexp(mantissa, 53));
  return std::ldexp(1.0, exponent - 53 + std::countr_zero(digits));
}

template <class P>
class Tracked {
 public:
  Tracked() = default;
  // A number of the call (an input, an attribute) or a constant of the definition: exact if it is a
  // float, else rounded to one.
  explicit Tracked(double x) : value_(x), sum_abs_(std::fabs(x)), terms_(x == 0 ? 0 : 1) {
    const bool is_exact =
        P::kUnit < InF32::kUnit || static_cast<double>(static_cast<float>(x)) == x || std::isnan(x);
    error_ = is_exact ? 0 : P::kUnit * sum_abs_;
    quantum_ = is_exact ? quantum_of(x) : 0;
  }
  explicit Tracked(float x) : Tracked(static_cast<double>(x)) {}
  explicit Tracked(int x) : Tracked(static_cast<double>(x)) {}
  explicit Tracked(uint8_t x) : Tracked(static_cast<double>(x)) {}

  explicit operator float() const { return static_cast<float>(value_); }

  double value() const { return value_; }

  // The bound on the distance of a correct kernel's value from this one.
  double error() const {
    if (!std::isfinite(value_)) return 0;
    if (terms_ < 2 || sum_abs_ <= P::kExactQuanta * quantum_) return error_;
    return error_ + (terms_ - 1) * (P::kUnit * sum_abs_ + P::kTiny);
  }

  // Rounded to bf16 on its way through memory: 8 significant bits.
  Tracked kept_in_bf16() const {
    const double e = error();
    if (e == 0 && std::fabs(value_) <= 0x1p8 * quantum_) return *this;
    return rounded(value_, e + 0x1p-9 * (std::fabs(value_) + e), 0);
  }

  friend Tracked operator+(const Tracked& a, const Tracked& b) { return sum(a, b, b.value_); }
  friend Tracked operator-(const Tracked& a, const Tracked& b) { return sum(a, b, -b.value_); }
  Tracked operator-() const {
    Tracked result = *this;
    result.value_ = -value_;
    return result;
  }
  friend Tracked operator*(const Tracked& a, const Tracked& b) {
    const double ea = a.error(), eb = b.error();
    const double inherited = times(a.value_, eb) + times(b.value_, ea) + ea * eb +
                             times(a.value_, b.operand_error()) +
                             times(b.value_, a.operand_error());
    return rounded(a.value_ * b.value_, inherited, times(a.quantum_, b.quantum_));
  }
  friend Tracked operator/(const Tracked& a, const Tracked& b) {
    const double q = a.value_ / b.value_;
    if (std::isinf(b.value_)) return rounded(q, P::kTiny, 0);
    const double ea = a.error(), eb = b.error();
    const double inherited = (ea + times(q, eb)) / std::max(std::fabs(b.value_) - eb, P::kTiny);
    const bool is_exact = ea == 0 && eb == 0 && q * b.value_ == a.value_ &&
                          static_cast<double>(static_cast<float>(q)) == q;
    return is_exact ? Tracked(q) : rounded(q, inherited, 0);
  }
  Tracked& operator+=(const Tracked& b) { return *this = *this + b; }
  Tracked& operator-=(const Tracked& b) { return *this = *this - b; }
  Tracked& operator*=(const Tracked& b) { return *this = *this * b; }

  friend bool operator<(const Tracked& a, const Tracked& b) {
    return decide(a, b, a.value_ < b.value_);
  }
  friend bool operator>(const Tracked& a, const Tracked& b) {
    return decide(a, b, a.value_ > b.value_);
  }
  friend bool operator<=(const Tracked& a, const Tracked& b) {
    return decide(a, b, a.value_ <= b.value_);
  }
  friend bool operator>=(const Tracked& a, const Tracked& b) {
    return decide(a, b, a.value_ >= b.value_);
  }

  friend Tracked exp(const Tracked& x) {
    const double y = std::exp(x.value_);
    if (std::isinf(y)) return Tracked(y);
    return function(y, times(y, std::expm1(std::min(x.error(), 700.0))));
  }
  friend Tracked log1p(const Tracked& x) {
    return function(std::log1p(x.value_), x.error() / (1 + x.value_));
  }
  friend Tracked tanh(const Tracked& x) {
    const double y = std::tanh(x.value_);
    return function(y, std::min(2.0, steepest_tanh(x) * x.error()));
  }
  friend Tracked erf(const Tracked& x) {
    const double nearest = std::max(std::fabs(x.value_) - x.error(), 0.0);
    const double slope = 1.1283791670955126 * std::exp(-nearest * nearest);
    return function(std::erf(x.value_), std::min(2.0, slope * x.error()));
  }
  friend Tracked sqrt(const Tracked& x) {
    const double y = std::sqrt(x.value_), e = x.error();
    const double below = y - std::sqrt(std::max(x.value_ - e, 0.0));
    return rounded(y, e == 0 ? 0 : std::max(below, std::sqrt(x.value_ + e) - y), 0);
  }

 private:
  // Infinity times 0 is 0 here: an error that is 0 stays 0, and 0 is a multiple of every quantum.
  static double times(double a, double b) {
    return a == 0 || b == 0 ? 0 : std::fabs(a) * std::fabs(b);
  }
  static double steepest_tanh(const Tracked& x) {
    const double t = std::tanh(std::max(std::fabs(x.value_) - x.error(), 0.0));
    return 1 - t * t;
  }

  static Tracked sum(const Tracked& a, const Tracked& b, double signed_b) {
    Tracked result;
    result.value_ = a.value_ + signed_b;
    result.sum_abs_ = a.sum_abs_ + b.sum_abs_;
    result.error_ = a.error_ + b.error_;
    result.quantum_ = std::min(a.quantum_, b.quantum_);
    result.terms_ = a.terms_ + b.terms_;
    return result;
  }

  // One term: `inherited` error and one rounding, unless the value is exact.
  static Tracked rounded(double value, double inherited, double quantum) {
    Tracked result;
    result.value_ = value;
    result.sum_abs_ = std::fabs(value);
    result.terms_ = 1;
    const bool is_exact =
        inherited == 0 && (value == 0 || result.sum_abs_ <= P::kExactQuanta * quantum);
    result.error_ = is_exact ? 0 : inherited + P::kUnit * result.sum_abs_ + P::kTiny;
    result.quantum_ = !is_exact ? 0 : (value == 0 ? quantum_of(0) : quantum);
    return result;
  }

  static Tracked function(double value, double inherited) {
    const double own = (kernels::kMathUlp - 1) * P::kUnit * std::fabs(value);
    return rounded(value, inherited + own, 0);
  }

  double operand_error() const {
    if (P::kOperandUnit == 0 || std::fabs(value_) * P::kOperandUnit <= quantum_) return 0;
    return P::kOperandUnit * std::fabs(value_);
  }

  static bool decide(const Tracked& a, const Tracked& b, bool by_value) {
    const double e = a.error() + b.error();
    if (e == 0 || std::fabs(a.value_ - b.value_) > e) return by_value;
    ++ambiguity.count;
    if (ambiguity.choice == Ambiguity::Choice::kByValue) return by_value;
    return ambiguity.choice == Ambiguity::Choice::kTrue;
  }

  double value_ = 0;
  double sum_abs_ = 0;  // of the terms
  double error_ = 0;    // of the terms
  double quantum_ = std::numeric_limits<double>::infinity();
  double terms_ = 0;
};

}  // namespace diabolo::selftest
