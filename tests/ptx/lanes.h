// Rows of the register file as lanes of a type, and the loops over them.
//
// Every lane computes, the lanes of `exec` are stored: so the loops have no branches.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "warp.h"

namespace ptx {

using i16 = int16_t;
using u16 = uint16_t;
using i32 = int32_t;
using u32 = uint32_t;
using i64 = int64_t;
using u64 = uint64_t;
using f32 = float;
using f64 = double;

// Lane of a row as a T: 64-bit types lie in 64-bit rows, all others in the low bits of words.
template <class T>
struct Row {
  using Word = std::conditional_t<sizeof(T) == 8, u64, u32>;

  static Word* at(Warp& warp, u32 row) {
    if constexpr (sizeof(T) == 8) {
      return warp.row64(row);
    } else {
      return warp.row32(row);
    }
  }
  static T from(Word word) {
    if constexpr (std::is_floating_point_v<T>) {
      return std::bit_cast<T>(word);
    } else {
      return static_cast<T>(word);
    }
  }
  // Narrow signed values keep their bits in the low half: the high one is zero.
  static Word to(T value) {
    if constexpr (std::is_floating_point_v<T>) {
      return std::bit_cast<Word>(value);
    } else {
      return static_cast<Word>(static_cast<std::make_unsigned_t<T>>(value));
    }
  }
};

template <class Word>
void store(Word* to, const Word (&values)[32], u32 exec) {
  if (exec == ~0U) {
    std::memcpy(to, values, sizeof values);
    return;
  }
  for (u32 lane = 0; lane < 32; ++lane)
    to[lane] = (exec >> lane & 1U) != 0 ? values[lane] : to[lane];
}

template <class F>
void for_lanes(u32 exec, F&& f) {
  for (; exec != 0; exec &= exec - 1) f(std::countr_zero(exec));
}

// destination = F(sources…), all of type T but the destination, which is a To.
template <class To, class T, class F>
void unary(Warp& warp, const Op& op, u32 exec) {
  const auto* a = Row<T>::at(warp, op.row[1]);
  typename Row<To>::Word out[32];
  for (int k = 0; k < 32; ++k) out[k] = Row<To>::to(F()(Row<T>::from(a[k])));
  store(Row<To>::at(warp, op.row[0]), out, exec);
}

template <class To, class T, class F>
void binary(Warp& warp, const Op& op, u32 exec) {
  const auto* a = Row<T>::at(warp, op.row[1]);
  const auto* b = Row<T>::at(warp, op.row[2]);
  typename Row<To>::Word out[32];
  for (int k = 0; k < 32; ++k) out[k] = Row<To>::to(F()(Row<T>::from(a[k]), Row<T>::from(b[k])));
  store(Row<To>::at(warp, op.row[0]), out, exec);
}

// The third source may be of another type.
template <class To, class T, class C, class F>
void ternary(Warp& warp, const Op& op, u32 exec) {
  const auto* a = Row<T>::at(warp, op.row[1]);
  const auto* b = Row<T>::at(warp, op.row[2]);
  const auto* c = Row<C>::at(warp, op.row[3]);
  typename Row<To>::Word out[32];
  for (int k = 0; k < 32; ++k)
    out[k] = Row<To>::to(F()(Row<T>::from(a[k]), Row<T>::from(b[k]), Row<C>::from(c[k])));
  store(Row<To>::at(warp, op.row[0]), out, exec);
}

}  // namespace ptx
