// Logic, shifts and bit fields (PTX ISA, "Logic and Shift Instructions", bfi, bfe, popc …).
#include "lanes.h"
#include "opcodes.h"

namespace ptx {

namespace {

template <class T>
struct And {
  T operator()(T a, T b) const { return static_cast<T>(a & b); }
};
template <class T>
struct Or {
  T operator()(T a, T b) const { return static_cast<T>(a | b); }
};
template <class T>
struct Xor {
  T operator()(T a, T b) const { return static_cast<T>(a ^ b); }
};
template <class T>
struct Not {
  T operator()(T a) const { return static_cast<T>(~a); }
};

// Shifts by more than the width are by the width. The amount is always 32 bits.
template <class T, bool kIsLeft>
void shift(Warp& warp, const Op& op, u32 exec) {
  constexpr u32 kWidth = 8 * sizeof(T);
  const auto* a = Row<T>::at(warp, op.row[1]);
  const u32* by = warp.row32(op.row[2]);
  typename Row<T>::Word out[32];
  for (int k = 0; k < 32; ++k) {
    const T value = Row<T>::from(a[k]);
    const T sign = static_cast<T>(std::is_signed_v<T> && value < T{0} ? -1 : 0);
    const u32 amount = by[k] < kWidth ? by[k] : 0;
    const T shifted = static_cast<T>(kIsLeft ? static_cast<u64>(value) << amount : value >> amount);
    out[k] = Row<T>::to(by[k] < kWidth ? shifted : kIsLeft ? T{0} : sign);
  }
  store(Row<T>::at(warp, op.row[0]), out, exec);
}

// bfi d, a, b, c, n: the low n bits of a into b from bit c on.
template <class T>
void insert_bits(Warp& warp, const Op& op, u32 exec) {
  constexpr u32 kWidth = 8 * sizeof(T);
  const auto* a = Row<T>::at(warp, op.row[1]);
  const auto* b = Row<T>::at(warp, op.row[2]);
  const u32 *at = warp.row32(op.row[3]), *count = warp.row32(op.row[4]);
  typename Row<T>::Word out[32];
  for (int k = 0; k < 32; ++k) {
    const u32 begin = at[k] & 0xFF, end = std::min(begin + (count[k] & 0xFF), kWidth);
    T mask = 0;
    for (u32 bit = begin; bit < end; ++bit) mask = static_cast<T>(mask | T{1} << bit);
    const T moved = begin < kWidth ? static_cast<T>(a[k] << begin) : T{0};
    out[k] = static_cast<T>((b[k] & ~mask) | (moved & mask));
  }
  store(Row<T>::at(warp, op.row[0]), out, exec);
}

// bfe.u d, a, b, c: c bits of a from bit b on.
template <class T>
void extract_bits(Warp& warp, const Op& op, u32 exec) {
  constexpr u32 kWidth = 8 * sizeof(T);
  const auto* a = Row<T>::at(warp, op.row[1]);
  const u32 *at = warp.row32(op.row[2]), *count = warp.row32(op.row[3]);
  typename Row<T>::Word out[32];
  for (int k = 0; k < 32; ++k) {
    const u32 begin = at[k] & 0xFF, bits = count[k] & 0xFF;
    const T moved = begin < kWidth ? static_cast<T>(a[k] >> begin) : T{0};
    out[k] = bits >= kWidth ? moved : static_cast<T>(moved & ((T{1} << bits) - 1));
  }
  store(Row<T>::at(warp, op.row[0]), out, exec);
}

// Every bit of the result is the bit of the table that the bits of a, b and c number.
void look_up(Warp& warp, const Op& op, u32 exec) {
  const u32 *a = warp.row32(op.row[1]), *b = warp.row32(op.row[2]), *c = warp.row32(op.row[3]);
  const u32* table = warp.row32(op.row[4]);
  u32 out[32];
  for (int k = 0; k < 32; ++k) {
    out[k] = 0;
    for (u32 bit = 0; bit < 8; ++bit) {
      const u32 ab = ((bit & 4) != 0 ? a[k] : ~a[k]) & ((bit & 2) != 0 ? b[k] : ~b[k]);
      if ((table[k] >> bit & 1U) != 0) out[k] |= ab & ((bit & 1) != 0 ? c[k] : ~c[k]);
    }
  }
  store(warp.row32(op.row[0]), out, exec);
}

// prmt: each nibble of the selector takes one of the eight bytes of {b, a}, or copies of its sign.
void permute(Warp& warp, const Op& op, u32 exec) {
  const u32 *a = warp.row32(op.row[1]), *b = warp.row32(op.row[2]), *by = warp.row32(op.row[3]);
  u32 out[32];
  for (int k = 0; k < 32; ++k) {
    const u64 bytes = u64{b[k]} << 32 | a[k];
    out[k] = 0;
    for (u32 i = 0; i < 4; ++i) {
      const u32 nibble = by[k] >> 4 * i & 0xF;
      u32 byte = static_cast<u32>(bytes >> 8 * (nibble & 7)) & 0xFF;
      if ((nibble & 8) != 0) byte = (byte & 0x80) != 0 ? 0xFF : 0;
      out[k] |= byte << 8 * i;
    }
  }
  store(warp.row32(op.row[0]), out, exec);
}

// shf: the high (left) or low (right) word of {b, a} shifted.
template <bool kIsLeft, bool kWraps>
void funnel(Warp& warp, const Op& op, u32 exec) {
  const u32 *a = warp.row32(op.row[1]), *b = warp.row32(op.row[2]), *by = warp.row32(op.row[3]);
  u32 out[32];
  for (int k = 0; k < 32; ++k) {
    const u64 both = u64{b[k]} << 32 | a[k];
    const u32 amount = kWraps ? by[k] & 31 : std::min(by[k], 32U);
    out[k] = static_cast<u32>(kIsLeft ? (both << amount) >> 32 : both >> amount);
  }
  store(warp.row32(op.row[0]), out, exec);
}

template <class T>
struct CountBits {
  u32 operator()(T a) const { return static_cast<u32>(std::popcount(a)); }
};
template <class T>
struct CountZeros {
  u32 operator()(T a) const { return static_cast<u32>(std::countl_zero(a)); }
};
struct Reverse {
  u32 operator()(u32 a) const {
    u32 out = 0;
    for (int k = 0; k < 32; ++k) out |= (a >> k & 1U) << (31 - k);
    return out;
  }
};

// mov.b64 {r, r}, d and back, and the halves of a word.
void split_word(Warp& warp, const Op& op, u32 exec) {
  const u64* from = warp.row64(op.row[2]);
  u32 low[32], high[32];
  for (int k = 0; k < 32; ++k) {
    low[k] = static_cast<u32>(from[k]);
    high[k] = static_cast<u32>(from[k] >> 32);
  }
  store(warp.row32(op.row[0]), low, exec);
  store(warp.row32(op.row[1]), high, exec);
}
void split_half(Warp& warp, const Op& op, u32 exec) {
  const u32* from = warp.row32(op.row[2]);
  u32 low[32], high[32];
  for (int k = 0; k < 32; ++k) {
    low[k] = from[k] & 0xFFFF;
    high[k] = from[k] >> 16;
  }
  store(warp.row32(op.row[0]), low, exec);
  store(warp.row32(op.row[1]), high, exec);
}
void join_words(Warp& warp, const Op& op, u32 exec) {
  const u32 *low = warp.row32(op.row[1]), *high = warp.row32(op.row[2]);
  u64 out[32];
  for (int k = 0; k < 32; ++k) out[k] = u64{high[k]} << 32 | low[k];
  store(warp.row64(op.row[0]), out, exec);
}
void join_halves(Warp& warp, const Op& op, u32 exec) {
  const u32 *low = warp.row32(op.row[1]), *high = warp.row32(op.row[2]);
  u32 out[32];
  for (int k = 0; k < 32; ++k) out[k] = high[k] << 16 | (low[k] & 0xFFFF);
  store(warp.row32(op.row[0]), out, exec);
}

template <class T>
void add_width(Opcodes& opcodes, const std::string& bits, const std::string& l) {
  const std::string two = l + ":" + l, three = two + l, shifted = two + "r";
  using Signed = std::make_signed_t<T>;
  opcodes.add("and.b" + bits, three.c_str(), binary<T, T, And<T>>);
  opcodes.add("or.b" + bits, three.c_str(), binary<T, T, Or<T>>);
  opcodes.add("xor.b" + bits, three.c_str(), binary<T, T, Xor<T>>);
  opcodes.add("not.b" + bits, two.c_str(), unary<T, T, Not<T>>);
  opcodes.add("shl.b" + bits, shifted.c_str(), shift<T, true>);
  opcodes.add("shr.b" + bits, shifted.c_str(), shift<T, false>);
  opcodes.add("shr.u" + bits, shifted.c_str(), shift<T, false>);
  opcodes.add("shr.s" + bits, shifted.c_str(), shift<Signed, false>);
}

}  // namespace

void add_bit_opcodes(Opcodes& opcodes) {
  add_width<u16>(opcodes, "16", "h");
  add_width<u32>(opcodes, "32", "r");
  add_width<u64>(opcodes, "64", "d");
  opcodes.add("bfi.b32", "r:rrrr", insert_bits<u32>);
  opcodes.add("bfi.b64", "d:ddrr", insert_bits<u64>);
  opcodes.add("bfe.u32", "r:rrr", extract_bits<u32>);
  opcodes.add("bfe.u64", "d:drr", extract_bits<u64>);
  opcodes.add("lop3.b32", "r:rrrr", look_up);
  opcodes.add("prmt.b32", "r:rrr", permute);
  opcodes.add("shf.l.wrap.b32", "r:rrr", funnel<true, true>);
  opcodes.add("shf.r.wrap.b32", "r:rrr", funnel<false, true>);
  opcodes.add("shf.l.clamp.b32", "r:rrr", funnel<true, false>);
  opcodes.add("shf.r.clamp.b32", "r:rrr", funnel<false, false>);
  opcodes.add("popc.b32", "r:r", unary<u32, u32, CountBits<u32>>);
  opcodes.add("popc.b64", "r:d", unary<u32, u64, CountBits<u64>>);
  opcodes.add("clz.b32", "r:r", unary<u32, u32, CountZeros<u32>>);
  opcodes.add("clz.b64", "r:d", unary<u32, u64, CountZeros<u64>>);
  opcodes.add("brev.b32", "r:r", unary<u32, u32, Reverse>);
  opcodes.add("mov.b64.split", "rr:d", split_word);
  opcodes.add("mov.b64.join", "d:rr", join_words);
  opcodes.add("mov.b32.split", "hh:r", split_half);
  opcodes.add("mov.b32.join", "r:hh", join_halves);
}

}  // namespace ptx
