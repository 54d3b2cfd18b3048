// Comparisons, choices and logic of predicates.
#include "lanes.h"
#include "opcodes.h"

namespace ptx {

namespace {

enum class Compare { kEq, kNe, kLt, kLe, kGt, kGe, kEqu, kNeu, kLtu, kLeu, kGtu, kGeu, kNum, kNan };

// The forms that end in u hold too if an operand is a NaN.
template <Compare kHow, class T>
bool holds(T a, T b) {
  const bool is_unordered = a != a || b != b;
  switch (kHow) {
    case Compare::kEq:
      return !is_unordered && a == b;
    case Compare::kNe:
      return !is_unordered && a != b;
    case Compare::kLt:
      return a < b;
    case Compare::kLe:
      return a <= b;
    case Compare::kGt:
      return a > b;
    case Compare::kGe:
      return a >= b;
    case Compare::kEqu:
      return is_unordered || a == b;
    case Compare::kNeu:
      return is_unordered || a != b;
    case Compare::kLtu:
      return is_unordered || a < b;
    case Compare::kLeu:
      return is_unordered || a <= b;
    case Compare::kGtu:
      return is_unordered || a > b;
    case Compare::kGeu:
      return is_unordered || a >= b;
    case Compare::kNum:
      return !is_unordered;
    case Compare::kNan:
      return is_unordered;
  }
  return false;
}

enum class Join { kNone, kAnd, kOr, kXor };

void store_predicate(Warp& warp, u32 row, u32 value, u32 exec) {
  u32& word = *warp.row32(row);
  word = (word & ~exec) | (value & exec);
}

template <Compare kHow, class T, Join kJoin>
void set_predicate(Warp& warp, const Op& op, u32 exec) {
  const size_t first = op.destinations;
  const auto* a = Row<T>::at(warp, op.row[first]);
  const auto* b = Row<T>::at(warp, op.row[first + 1]);
  u32 bits = 0;
  for (u32 k = 0; k < 32; ++k)
    bits |= (holds<kHow>(Row<T>::from(a[k]), Row<T>::from(b[k])) ? 1U : 0U) << k;
  u32 inverse = ~bits;
  if constexpr (kJoin != Join::kNone) {
    const u32 with = warp.predicate(op, static_cast<int>(first) + 2);
    const auto join = [&](u32 value) {
      return kJoin == Join::kAnd ? value & with : kJoin == Join::kOr ? value | with : value ^ with;
    };
    bits = join(bits);
    inverse = join(inverse);
  }
  store_predicate(warp, op.row[0], bits, exec);
  if (op.destinations == 2) store_predicate(warp, op.row[1], inverse, exec);
}

template <class T>
void select(Warp& warp, const Op& op, u32 exec) {
  const auto* a = Row<T>::at(warp, op.row[1]);
  const auto* b = Row<T>::at(warp, op.row[2]);
  const u32 takes_a = warp.predicate(op, 3);
  typename Row<T>::Word out[32];
  for (u32 k = 0; k < 32; ++k) out[k] = (takes_a >> k & 1U) != 0 ? a[k] : b[k];
  store(Row<T>::at(warp, op.row[0]), out, exec);
}

template <Join kJoin>
void join_predicates(Warp& warp, const Op& op, u32 exec) {
  const u32 a = warp.predicate(op, 1), b = warp.predicate(op, 2);
  store_predicate(warp, op.row[0],
                  kJoin == Join::kAnd  ? a & b
                  : kJoin == Join::kOr ? a | b
                                       : a ^ b,
                  exec);
}
void not_predicate(Warp& warp, const Op& op, u32 exec) {
  store_predicate(warp, op.row[0], ~warp.predicate(op, 1), exec);
}
void move_predicate(Warp& warp, const Op& op, u32 exec) {
  store_predicate(warp, op.row[0], warp.predicate(op, 1), exec);
}

template <Compare kHow, class T>
void add_comparison(Opcodes& opcodes, const std::string& name, const std::string& type,
                    const std::string& l) {
  const std::string plain = "p:" + l + l + " pp:" + l + l;
  const std::string joined = "p:" + l + l + "p pp:" + l + l + "p";
  const std::string begin = "setp." + name + ".";
  opcodes.add(begin + type, plain.c_str(), set_predicate<kHow, T, Join::kNone>);
  opcodes.add(begin + "and." + type, joined.c_str(), set_predicate<kHow, T, Join::kAnd>);
  opcodes.add(begin + "or." + type, joined.c_str(), set_predicate<kHow, T, Join::kOr>);
  opcodes.add(begin + "xor." + type, joined.c_str(), set_predicate<kHow, T, Join::kXor>);
}

template <class T>
void add_equality(Opcodes& opcodes, const std::string& type, const std::string& l) {
  add_comparison<Compare::kEq, T>(opcodes, "eq", type, l);
  add_comparison<Compare::kNe, T>(opcodes, "ne", type, l);
}

template <class T>
void add_order(Opcodes& opcodes, const std::string& type, const std::string& l) {
  add_equality<T>(opcodes, type, l);
  add_comparison<Compare::kLt, T>(opcodes, "lt", type, l);
  add_comparison<Compare::kLe, T>(opcodes, "le", type, l);
  add_comparison<Compare::kGt, T>(opcodes, "gt", type, l);
  add_comparison<Compare::kGe, T>(opcodes, "ge", type, l);
}

template <class T>
void add_real(Opcodes& opcodes, const std::string& type, const std::string& l) {
  add_order<T>(opcodes, type, l);
  add_comparison<Compare::kEqu, T>(opcodes, "equ", type, l);
  add_comparison<Compare::kNeu, T>(opcodes, "neu", type, l);
  add_comparison<Compare::kLtu, T>(opcodes, "ltu", type, l);
  add_comparison<Compare::kLeu, T>(opcodes, "leu", type, l);
  add_comparison<Compare::kGtu, T>(opcodes, "gtu", type, l);
  add_comparison<Compare::kGeu, T>(opcodes, "geu", type, l);
  add_comparison<Compare::kNum, T>(opcodes, "num", type, l);
  add_comparison<Compare::kNan, T>(opcodes, "nan", type, l);
}

}  // namespace

void add_select_opcodes(Opcodes& opcodes) {
  add_order<i16>(opcodes, "s16", "h");
  add_order<u16>(opcodes, "u16", "h");
  add_order<i32>(opcodes, "s32", "r");
  add_order<u32>(opcodes, "u32", "r");
  add_order<i64>(opcodes, "s64", "d");
  add_order<u64>(opcodes, "u64", "d");
  add_equality<u16>(opcodes, "b16", "h");
  add_equality<u32>(opcodes, "b32", "r");
  add_equality<u64>(opcodes, "b64", "d");
  add_real<f32>(opcodes, "f32", "r");
  add_real<f64>(opcodes, "f64", "d");
  for (const char* type : {"b16", "u16", "s16"})
    opcodes.add(std::string("selp.") + type, "h:hhp", select<u16>);
  for (const char* type : {"b32", "u32", "s32", "f32"})
    opcodes.add(std::string("selp.") + type, "r:rrp", select<u32>);
  for (const char* type : {"b64", "u64", "s64", "f64"})
    opcodes.add(std::string("selp.") + type, "d:ddp", select<u64>);
  opcodes.add("and.pred", "p:pp", join_predicates<Join::kAnd>);
  opcodes.add("or.pred", "p:pp", join_predicates<Join::kOr>);
  opcodes.add("xor.pred", "p:pp", join_predicates<Join::kXor>);
  opcodes.add("not.pred", "p:p", not_predicate);
  opcodes.add("mov.pred", "p:p", move_predicate);
}

}  // namespace ptx
