// atom, red, fences (PTX ISA, "Parallel Synchronization and Communication Instructions"). Blocks
// run one after another and lanes one by one, so that an atomic operation is a load and a store,
// and fences order what is in order already.
#include <algorithm>

#include "access.h"
#include "opcodes.h"

namespace ptx {

namespace {

template <class T>
struct Add {
  T operator()(T old, T b, T) const { return static_cast<T>(old + b); }
};
template <class T>
struct Min {
  T operator()(T old, T b, T) const { return std::min(old, b); }
};
template <class T>
struct Max {
  T operator()(T old, T b, T) const { return std::max(old, b); }
};
template <class T>
struct And {
  T operator()(T old, T b, T) const { return old & b; }
};
template <class T>
struct Or {
  T operator()(T old, T b, T) const { return old | b; }
};
template <class T>
struct Exchange {
  T operator()(T, T b, T) const { return b; }
};
template <class T>
struct CompareAndSwap {
  T operator()(T old, T b, T c) const { return old == b ? c : old; }
};
template <class T>
struct Increment {
  T operator()(T old, T b, T) const { return old >= b ? 0 : old + 1; }
};

// [destination,] address, b[, c]
template <Space kSpace, class T, class F>
void atomic(Warp& warp, const Op& op, u32 exec) {
  const int address = op.destinations;
  const auto* b = Row<T>::at(warp, op.row[op.destinations + 1U]);
  const bool has_c = op.operands > op.destinations + 2;
  const auto* c = has_c ? Row<T>::at(warp, op.row[op.destinations + 2U]) : b;
  for_lanes(exec, [&](int lane) {
    const u64 at = warp.address(op, address, 0, lane);
    T old{};
    load_bytes<kSpace>(warp, at, &old, sizeof old, lane);
    const T changed = F()(old, Row<T>::from(b[lane]), Row<T>::from(c[lane]));
    store_bytes<kSpace>(warp, at, &changed, sizeof changed, lane);
    if (op.destinations != 0) Row<T>::at(warp, op.row[0])[lane] = Row<T>::to(old);
  });
}

template <class T, class F>
void add_operation(Opcodes& opcodes, const std::string& name, const char* l, bool has_c = false) {
  const std::string sources = std::string("m") + l + (has_c ? l : "");
  for (const char* order : {"", ".relaxed.gpu", ".acquire.gpu", ".release.gpu", ".acq_rel.gpu"}) {
    for (const char* space : {"", ".global"}) {
      constexpr auto kGlobal = atomic<Space::kGlobal, T, F>;
      opcodes.add(std::string("atom") + order + space + name, (l + (":" + sources)).c_str(),
                  kGlobal);
      opcodes.add(std::string("red") + order + space + name, (":" + sources).c_str(), kGlobal);
    }
  }
}

void nothing(Warp&, const Op&, u32) {}

}  // namespace

void add_atomic_opcodes(Opcodes& opcodes) {
  add_operation<u32, Add<u32>>(opcodes, ".add.u32", "r");
  add_operation<u32, Add<u32>>(opcodes, ".add.s32", "r");
  add_operation<u64, Add<u64>>(opcodes, ".add.u64", "d");
  add_operation<u32, Min<u32>>(opcodes, ".min.u32", "r");
  add_operation<u32, Max<u32>>(opcodes, ".max.u32", "r");
  add_operation<i32, Min<i32>>(opcodes, ".min.s32", "r");
  add_operation<i32, Max<i32>>(opcodes, ".max.s32", "r");
  add_operation<u32, And<u32>>(opcodes, ".and.b32", "r");
  add_operation<u32, Or<u32>>(opcodes, ".or.b32", "r");
  add_operation<u32, Exchange<u32>>(opcodes, ".exch.b32", "r");
  add_operation<u32, Increment<u32>>(opcodes, ".inc.u32", "r");
  add_operation<u32, CompareAndSwap<u32>>(opcodes, ".cas.b32", "r", true);
  add_operation<u64, CompareAndSwap<u64>>(opcodes, ".cas.b64", "d", true);
  for (const char* fence : {"membar.gl", "membar.cta", "membar.sys", "fence.acq_rel.gpu",
                            "fence.acq_rel.cta", "fence.acq_rel.sys", "fence.sc.gpu"})
    opcodes.add(fence, ":", nothing);
}

}  // namespace ptx
