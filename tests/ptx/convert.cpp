// cvt, cvta and mov (PTX ISA, "Data Movement and Conversion Instructions").
#include <algorithm>

#include "lanes.h"
#include "opcodes.h"

namespace ptx {

namespace {

template <class To, class From>
struct Cast {
  To operator()(From a) const { return static_cast<To>(a); }
};
template <class T>
struct Same {
  T operator()(T a) const { return a; }
};

// Integer to integer: cut, or extended by the sign of the source's type. A narrow result in a wider
// register is extended by its own sign: only equal widths are taken here.
template <class To, class From>
void add_integer_cast(Opcodes& opcodes, const std::string& to, const std::string& from,
                      char to_letter, char from_letter) {
  opcodes.add("cvt." + to + "." + from, (std::string(1, to_letter) + ":" + from_letter).c_str(),
              unary<To, From, Cast<To, From>>);
}

template <class From>
void add_casts_from(Opcodes& opcodes, const std::string& from, char letter) {
  if constexpr (sizeof(From) != 2) {
    add_integer_cast<i16, From>(opcodes, "s16", from, 'h', letter);
    add_integer_cast<u16, From>(opcodes, "u16", from, 'h', letter);
  }
  add_integer_cast<i32, From>(opcodes, "s32", from, 'r', letter);
  add_integer_cast<u32, From>(opcodes, "u32", from, 'r', letter);
  add_integer_cast<i64, From>(opcodes, "s64", from, 'd', letter);
  add_integer_cast<u64, From>(opcodes, "u64", from, 'd', letter);
}

// What a NaN becomes: 0 in conversions of 32 bits, the highest bit alone where either type has 64.
template <class To, class From>
constexpr To integer_of_nan() {
  constexpr bool is_zero = sizeof(From) < 8 && sizeof(To) < 8;
  return is_zero ? To{0} : static_cast<To>(std::make_unsigned_t<To>{1} << (8 * sizeof(To) - 1));
}

// Real to integer with the result's limits.
template <class To, class From, int kRounding>  // -1: down, 0: nearest even, 1: up, 2: towards zero
struct ToInteger {
  To operator()(From a) const {
    if (a != a) return integer_of_nan<To, From>();
    const From rounded = kRounding == 0   ? std::nearbyint(a)
                         : kRounding == 2 ? std::trunc(a)
                         : kRounding < 0  ? std::floor(a)
                                          : std::ceil(a);
    if (rounded < static_cast<From>(std::numeric_limits<To>::min()))
      return std::numeric_limits<To>::min();
    // The largest integer plus one is a power of two, which both types have.
    if (rounded >= 2 * static_cast<From>(std::numeric_limits<To>::max() / 2 + 1))
      return std::numeric_limits<To>::max();
    return static_cast<To>(rounded);
  }
};
template <int kRounding>
struct ToIntegral {
  f32 operator()(f32 a) const {
    return kRounding == 0   ? std::nearbyint(a)
           : kRounding == 2 ? std::trunc(a)
           : kRounding < 0  ? std::floor(a)
                            : std::ceil(a);
  }
};
struct Saturate {
  f32 operator()(f32 a) const { return a > 0 ? std::min(a, 1.0f) : 0.0f; }
};

template <int kRounding>
void add_rounding(Opcodes& opcodes, const std::string& mode) {
  opcodes.add("cvt." + mode + ".f32.f32", "r:r", unary<f32, f32, ToIntegral<kRounding>>);
  opcodes.add("cvt." + mode + ".s32.f32", "r:r", unary<i32, f32, ToInteger<i32, f32, kRounding>>);
  opcodes.add("cvt." + mode + ".u32.f32", "r:r", unary<u32, f32, ToInteger<u32, f32, kRounding>>);
  opcodes.add("cvt." + mode + ".s64.f32", "d:r", unary<i64, f32, ToInteger<i64, f32, kRounding>>);
  opcodes.add("cvt." + mode + ".u64.f32", "d:r", unary<u64, f32, ToInteger<u64, f32, kRounding>>);
  opcodes.add("cvt." + mode + ".s32.f64", "r:d", unary<i32, f64, ToInteger<i32, f64, kRounding>>);
}

// The nearest bf16, ties to even; a NaN becomes 0x7fff.
inline u32 bf16(f32 value) {
  const u32 bits = std::bit_cast<u32>(value);
  if (value != value) return 0x7FFF;
  const u32 half = bits & 0xFFFF, kept = bits >> 16;
  const bool is_up = half > 0x8000 || (half == 0x8000 && (kept & 1) != 0);
  return kept + (is_up ? 1 : 0);
}
struct ToBf16 {
  u16 operator()(f32 a) const { return static_cast<u16>(bf16(a)); }
};
struct FromBf16 {
  f32 operator()(u16 a) const { return std::bit_cast<f32>(u32{a} << 16); }
};
// cvt.rn.bf16x2.f32 d, a, b: a becomes the upper half of d, b the lower one.
struct ToBf16Pair {
  f32 operator()(f32 a, f32 b) const { return std::bit_cast<f32>(bf16(a) << 16 | bf16(b)); }
};
// To 10 explicit bits of mantissa, ties away from zero. What the other 13 hold is left open: here a
// pattern that is wrong wherever somebody counts on zeros.
struct ToTf32 {
  f32 operator()(f32 a) const {
    if (a != a) return std::bit_cast<f32>(0x7FFFFFFFU);
    const u32 bits = std::bit_cast<u32>(a);
    const u32 rounded = std::isinf(a) ? bits : bits + 0x1000U;
    return std::bit_cast<f32>((rounded & ~0x1FFFU) | 0x1555U);
  }
};

// Generic addresses and back; those of global memory are the same.
template <u64 kWindow, bool kToGeneric>
struct Window {
  u64 operator()(u64 a) const { return kToGeneric ? a + kWindow : a - kWindow; }
};

}  // namespace

void add_convert_opcodes(Opcodes& opcodes) {
  add_casts_from<int8_t>(opcodes, "s8", 'w');
  add_casts_from<uint8_t>(opcodes, "u8", 'w');
  add_casts_from<i16>(opcodes, "s16", 'h');
  add_casts_from<u16>(opcodes, "u16", 'h');
  add_casts_from<i32>(opcodes, "s32", 'r');
  add_casts_from<u32>(opcodes, "u32", 'r');
  add_casts_from<i64>(opcodes, "s64", 'd');
  add_casts_from<u64>(opcodes, "u64", 'd');
  opcodes.add("cvt.rn.f32.s16", "r:h", unary<f32, i16, Cast<f32, i16>>);
  opcodes.add("cvt.rn.f32.u16", "r:h", unary<f32, u16, Cast<f32, u16>>);
  opcodes.add("cvt.rn.f32.u8", "r:w", unary<f32, uint8_t, Cast<f32, uint8_t>>);
  opcodes.add("cvt.rn.f32.s32", "r:r", unary<f32, i32, Cast<f32, i32>>);
  opcodes.add("cvt.rn.f32.u32", "r:r", unary<f32, u32, Cast<f32, u32>>);
  opcodes.add("cvt.rn.f32.s64", "r:d", unary<f32, i64, Cast<f32, i64>>);
  opcodes.add("cvt.rn.f32.u64", "r:d", unary<f32, u64, Cast<f32, u64>>);
  opcodes.add("cvt.rn.f64.s32", "d:r", unary<f64, i32, Cast<f64, i32>>);
  opcodes.add("cvt.rn.f64.u32", "d:r", unary<f64, u32, Cast<f64, u32>>);
  opcodes.add("cvt.rn.f64.s64", "d:d", unary<f64, i64, Cast<f64, i64>>);
  opcodes.add("cvt.f64.f32", "d:r", unary<f64, f32, Cast<f64, f32>>);
  opcodes.add("cvt.rn.f32.f64", "r:d", unary<f32, f64, Cast<f32, f64>>);
  opcodes.add("cvt.sat.f32.f32", "r:r", unary<f32, f32, Saturate>);
  add_rounding<-1>(opcodes, "rmi");
  add_rounding<0>(opcodes, "rni");
  add_rounding<1>(opcodes, "rpi");
  add_rounding<2>(opcodes, "rzi");
  opcodes.add("cvt.rn.bf16.f32", "h:r", unary<u16, f32, ToBf16>);
  opcodes.add("cvt.f32.bf16", "r:h", unary<f32, u16, FromBf16>);
  opcodes.add("cvt.rn.bf16x2.f32", "r:rr", binary<f32, f32, ToBf16Pair>);
  opcodes.add("cvt.rna.tf32.f32", "r:r", unary<f32, f32, ToTf32>);
  opcodes.add("cvta.to.global.u64", "d:d", unary<u64, u64, Window<0, false>>);
  opcodes.add("cvta.global.u64", "d:d", unary<u64, u64, Window<0, true>>);
  opcodes.add("cvta.to.shared.u64", "d:d", unary<u64, u64, Window<kGenericShared, false>>);
  opcodes.add("cvta.shared.u64", "d:d", unary<u64, u64, Window<kGenericShared, true>>);
  opcodes.add("cvta.param.u64", "d:d", unary<u64, u64, Window<kGenericParameter, true>>);
  for (const char* type : {"u16", "s16", "b16"})
    opcodes.add(std::string("mov.") + type, "h:h", unary<u16, u16, Same<u16>>);
  for (const char* type : {"u32", "s32", "b32", "f32"})
    opcodes.add(std::string("mov.") + type, "r:r", unary<u32, u32, Same<u32>>);
  for (const char* type : {"u64", "s64", "b64", "f64"})
    opcodes.add(std::string("mov.") + type, "d:d", unary<u64, u64, Same<u64>>);
}

}  // namespace ptx
