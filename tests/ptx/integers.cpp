// Integer arithmetic (PTX ISA, "Integer Arithmetic Instructions").
#include <algorithm>

#include "lanes.h"
#include "opcodes.h"

namespace ptx {

namespace {

template <class T>
using Bits = std::make_unsigned_t<T>;

// Sums and products wrap around.
template <class T>
struct Add {
  T operator()(T a, T b) const {
    return static_cast<T>(static_cast<Bits<T>>(a) + static_cast<Bits<T>>(b));
  }
};
template <class T>
struct Sub {
  T operator()(T a, T b) const {
    return static_cast<T>(static_cast<Bits<T>>(a) - static_cast<Bits<T>>(b));
  }
};
template <class T>
struct MulLo {
  T operator()(T a, T b) const { return static_cast<T>(static_cast<u64>(a) * static_cast<u64>(b)); }
};
__extension__ using SignedTwice = __int128;
__extension__ using UnsignedTwice = unsigned __int128;
template <class T>
struct MulHi {
  using Twice = std::conditional_t<std::is_signed_v<T>, SignedTwice, UnsignedTwice>;
  T operator()(T a, T b) const { return static_cast<T>((Twice{a} * Twice{b}) >> (8 * sizeof(T))); }
};
template <class T>
struct MadLo {
  T operator()(T a, T b, T c) const { return Add<T>()(MulLo<T>()(a, b), c); }
};
template <class Twice, class T>
struct MulWide {
  Twice operator()(T a, T b) const { return static_cast<Twice>(Twice{a} * Twice{b}); }
};
template <class Twice, class T>
struct MadWide {
  Twice operator()(T a, T b, Twice c) const { return Add<Twice>()(Twice{a} * Twice{b}, c); }
};
template <class T>
struct Min {
  T operator()(T a, T b) const { return std::min(a, b); }
};
template <class T>
struct Max {
  T operator()(T a, T b) const { return std::max(a, b); }
};
template <class T>
struct Neg {
  T operator()(T a) const { return static_cast<T>(Bits<T>{0} - static_cast<Bits<T>>(a)); }
};
template <class T>
struct Abs {
  T operator()(T a) const { return a < 0 ? Neg<T>()(a) : a; }
};

// By zero the ISA leaves the result open; so does the smallest number by -1 in C++.
template <class T, bool kIsRemainder>
void divide(Warp& warp, const Op& op, u32 exec) {
  const auto* a = Row<T>::at(warp, op.row[1]);
  const auto* b = Row<T>::at(warp, op.row[2]);
  auto* out = Row<T>::at(warp, op.row[0]);
  for_lanes(exec, [&](int lane) {
    const T by = Row<T>::from(b[lane]), of = Row<T>::from(a[lane]);
    if (by == 0) warp.fail(FaultKind::kArithmetic, "division by zero", lane);
    if (std::is_signed_v<T> && by == static_cast<T>(-1)) {
      out[lane] =
          Row<T>::to(kIsRemainder ? T{0} : static_cast<T>(Bits<T>{0} - static_cast<Bits<T>>(of)));
    } else {
      out[lane] = Row<T>::to(static_cast<T>(kIsRemainder ? of % by : of / by));
    }
  });
}

template <class T>
void add_type(Opcodes& opcodes, const std::string& type, char letter) {
  const std::string l(1, letter);
  const std::string two = l + ":" + l, three = two + l, four = three + l;
  opcodes.add("add." + type, three.c_str(), binary<T, T, Add<T>>);
  opcodes.add("sub." + type, three.c_str(), binary<T, T, Sub<T>>);
  opcodes.add("mul.lo." + type, three.c_str(), binary<T, T, MulLo<T>>);
  opcodes.add("mul.hi." + type, three.c_str(), binary<T, T, MulHi<T>>);
  opcodes.add("mad.lo." + type, four.c_str(), ternary<T, T, T, MadLo<T>>);
  opcodes.add("min." + type, three.c_str(), binary<T, T, Min<T>>);
  opcodes.add("max." + type, three.c_str(), binary<T, T, Max<T>>);
  opcodes.add("div." + type, three.c_str(), divide<T, false>);
  opcodes.add("rem." + type, three.c_str(), divide<T, true>);
  if constexpr (std::is_signed_v<T>) {
    opcodes.add("neg." + type, two.c_str(), unary<T, T, Neg<T>>);
    opcodes.add("abs." + type, two.c_str(), unary<T, T, Abs<T>>);
  }
}

}  // namespace

void add_integer_opcodes(Opcodes& opcodes) {
  add_type<i16>(opcodes, "s16", 'h');
  add_type<u16>(opcodes, "u16", 'h');
  add_type<i32>(opcodes, "s32", 'r');
  add_type<u32>(opcodes, "u32", 'r');
  add_type<i64>(opcodes, "s64", 'd');
  add_type<u64>(opcodes, "u64", 'd');
  opcodes.add("mul.wide.s16", "r:hh", binary<i32, i16, MulWide<i32, i16>>);
  opcodes.add("mul.wide.u16", "r:hh", binary<u32, u16, MulWide<u32, u16>>);
  opcodes.add("mul.wide.s32", "d:rr", binary<i64, i32, MulWide<i64, i32>>);
  opcodes.add("mul.wide.u32", "d:rr", binary<u64, u32, MulWide<u64, u32>>);
  opcodes.add("mad.wide.s32", "d:rrd", ternary<i64, i32, i64, MadWide<i64, i32>>);
  opcodes.add("mad.wide.u32", "d:rrd", ternary<u64, u32, u64, MadWide<u64, u32>>);
}

}  // namespace ptx
