// Floating point (PTX ISA, "Floating Point Instructions"), rounded to nearest. A NaN that comes out
// of arithmetic is 0x7fffffff. Of the approximate functions we give the value of higher precision:
// what the device's differ by, the tests' tolerances must allow.
#include "lanes.h"
#include "opcodes.h"

namespace ptx {

namespace {

template <class T>
T canonical(T value) {
  if constexpr (sizeof(T) == 4) {
    return value == value ? value : std::bit_cast<f32>(0x7FFFFFFFU);
  } else {
    return value == value ? value : std::bit_cast<f64>(0x7FF8000000000000ULL);
  }
}

inline f32 flushed(f32 value) {
  return std::fabs(value) < std::numeric_limits<f32>::min() ? std::copysign(0.0f, value) : value;
}

template <class T>
struct Add {
  T operator()(T a, T b) const { return canonical(a + b); }
};
template <class T>
struct Sub {
  T operator()(T a, T b) const { return canonical(a - b); }
};
template <class T>
struct Mul {
  T operator()(T a, T b) const { return canonical(a * b); }
};
template <class T>
struct Div {
  T operator()(T a, T b) const { return canonical(a / b); }
};
template <class T>
struct Fma {
  T operator()(T a, T b, T c) const { return canonical(std::fma(a, b, c)); }
};
template <class T>
struct Rcp {
  T operator()(T a) const { return canonical(T{1} / a); }
};
template <class T>
struct Sqrt {
  T operator()(T a) const { return canonical(std::sqrt(a)); }
};
template <class T>
struct Neg {
  T operator()(T a) const { return -a; }
};
template <class T>
struct Abs {
  T operator()(T a) const { return std::fabs(a); }
};
// Of a number and a NaN the number; -0 is less than +0.
template <class T>
struct Min {
  T operator()(T a, T b) const {
    if (a != a || b != b) return canonical(a != a ? b : a);
    return a < b || (a == b && std::signbit(a)) ? a : b;
  }
};
template <class T>
struct Max {
  T operator()(T a, T b) const {
    if (a != a || b != b) return canonical(a != a ? b : a);
    return a > b || (a == b && !std::signbit(a)) ? a : b;
  }
};
// The sign of a, the magnitude of b.
template <class T>
struct Copysign {
  T operator()(T a, T b) const { return std::copysign(b, a); }
};

template <class F>
struct Flushed {
  f32 operator()(f32 a) const { return flushed(F()(flushed(a))); }
  f32 operator()(f32 a, f32 b) const { return flushed(F()(flushed(a), flushed(b))); }
  f32 operator()(f32 a, f32 b, f32 c) const {
    return flushed(F()(flushed(a), flushed(b), flushed(c)));
  }
};

#define PTX_FUNCTION(Name, expression)                \
  struct Name {                                       \
    f32 operator()(f32 x) const {                     \
      const f64 a = x;                                \
      return canonical(static_cast<f32>(expression)); \
    }                                                 \
  }
PTX_FUNCTION(Ex2, std::exp2(a));
PTX_FUNCTION(Lg2, std::log2(a));
PTX_FUNCTION(Rsqrt, 1 / std::sqrt(a));
PTX_FUNCTION(Sin, std::sin(a));
PTX_FUNCTION(Cos, std::cos(a));
PTX_FUNCTION(Tanh, std::tanh(a));
#undef PTX_FUNCTION

template <class T>
void add_type(Opcodes& opcodes, const std::string& type, const std::string& l) {
  const std::string two = l + ":" + l, three = two + l, four = three + l;
  for (const char* rounding : {".", ".rn."}) {
    opcodes.add("add" + (rounding + type), three.c_str(), binary<T, T, Add<T>>);
    opcodes.add("sub" + (rounding + type), three.c_str(), binary<T, T, Sub<T>>);
    opcodes.add("mul" + (rounding + type), three.c_str(), binary<T, T, Mul<T>>);
  }
  opcodes.add("fma.rn." + type, four.c_str(), ternary<T, T, T, Fma<T>>);
  opcodes.add("div.rn." + type, three.c_str(), binary<T, T, Div<T>>);
  opcodes.add("rcp.rn." + type, two.c_str(), unary<T, T, Rcp<T>>);
  opcodes.add("sqrt.rn." + type, two.c_str(), unary<T, T, Sqrt<T>>);
  opcodes.add("neg." + type, two.c_str(), unary<T, T, Neg<T>>);
  opcodes.add("abs." + type, two.c_str(), unary<T, T, Abs<T>>);
  opcodes.add("min." + type, three.c_str(), binary<T, T, Min<T>>);
  opcodes.add("max." + type, three.c_str(), binary<T, T, Max<T>>);
  opcodes.add("copysign." + type, three.c_str(), binary<T, T, Copysign<T>>);
}

template <class F>
void add_approximation(Opcodes& opcodes, const std::string& name, bool has_plain = true) {
  if (has_plain) opcodes.add(name + ".f32", "r:r", unary<f32, f32, F>);
  opcodes.add(name + ".ftz.f32", "r:r", unary<f32, f32, Flushed<F>>);
}

}  // namespace

void add_real_opcodes(Opcodes& opcodes) {
  add_type<f32>(opcodes, "f32", "r");
  add_type<f64>(opcodes, "f64", "d");
  add_approximation<Ex2>(opcodes, "ex2.approx");
  add_approximation<Lg2>(opcodes, "lg2.approx");
  add_approximation<Rsqrt>(opcodes, "rsqrt.approx");
  add_approximation<Sqrt<f32>>(opcodes, "sqrt.approx");
  add_approximation<Rcp<f32>>(opcodes, "rcp.approx");
  add_approximation<Sin>(opcodes, "sin.approx");
  add_approximation<Cos>(opcodes, "cos.approx");
  opcodes.add("tanh.approx.f32", "r:r", unary<f32, f32, Tanh>);
  opcodes.add("div.approx.f32", "r:rr", binary<f32, f32, Div<f32>>);
  opcodes.add("div.full.f32", "r:rr", binary<f32, f32, Div<f32>>);
  opcodes.add("div.approx.ftz.f32", "r:rr", binary<f32, f32, Flushed<Div<f32>>>);
  opcodes.add("add.ftz.f32", "r:rr", binary<f32, f32, Flushed<Add<f32>>>);
  opcodes.add("mul.ftz.f32", "r:rr", binary<f32, f32, Flushed<Mul<f32>>>);
  opcodes.add("fma.rn.ftz.f32", "r:rrr", ternary<f32, f32, f32, Flushed<Fma<f32>>>);
}

}  // namespace ptx
