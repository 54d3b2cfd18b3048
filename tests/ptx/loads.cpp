// ld and st (PTX ISA, "Data Movement and Conversion Instructions").
#include "access.h"
#include "opcodes.h"

namespace ptx {

namespace {

// A register may be wider than the data: a load extends them by zeros or their sign, a store cuts.
template <class T>
void set_register(Warp& warp, const Op& op, u32 row, int lane, T value) {
  if (sizeof(T) == 8 || op.has_wide_registers) {
    warp.row64(row)[lane] = static_cast<u64>(value);
  } else {
    warp.row32(row)[lane] = static_cast<u32>(value);
  }
}
template <class T>
T get_register(Warp& warp, const Op& op, u32 row, int lane) {
  return static_cast<T>(sizeof(T) == 8 || op.has_wide_registers ? warp.row64(row)[lane]
                                                                : warp.row32(row)[lane]);
}

// A vector of which only some bytes are used: the elements without any are not read, and hold bits
// that tell where somebody uses them all the same.
template <Space kSpace, class T, int kCount>
void load_used(Warp& warp, const Op& op, u64 at, T (&values)[kCount], int lane) {
  if (at % sizeof values != 0) warp.fail(FaultKind::kMisaligned, "a vector", lane);
  for (size_t k = 0; k < kCount; ++k) {
    values[k] = static_cast<T>(~T{0});
    const u32 bytes = ((1U << sizeof(T)) - 1) << k * sizeof(T);
    if ((op.used_bytes & bytes) != 0)
      load_bytes<kSpace>(warp, at + k * sizeof(T), &values[k], sizeof(T), lane);
  }
}

// Each element goes to a register of its own.
template <Space kSpace, class T, int kCount>
void load(Warp& warp, const Op& op, u32 exec) {
  for_lanes(exec, [&](int lane) {
    T values[kCount];
    const u64 at = warp.address(op, kCount, 0, lane);
    if (kCount > 1 && op.used_bytes != ~0U) {
      load_used<kSpace>(warp, op, at, values, lane);
    } else {
      load_bytes<kSpace>(warp, at, values, sizeof values, lane);
    }
    for (size_t k = 0; k < kCount; ++k) set_register(warp, op, op.row[k], lane, values[k]);
  });
}

template <Space kSpace, class T, int kCount>
void store_lanes(Warp& warp, const Op& op, u32 exec) {
  for_lanes(exec, [&](int lane) {
    T values[kCount];
    for (size_t k = 0; k < kCount; ++k) values[k] = get_register<T>(warp, op, op.row[k + 1], lane);
    store_bytes<kSpace>(warp, warp.address(op, 0, 0, lane), values, sizeof values, lane);
  });
}

template <Space kSpace, class T, int kCount>
void add_access(Opcodes& opcodes, const std::string& space, const std::string& type, char letter) {
  const std::string vector = kCount == 1 ? "." : ".v" + std::to_string(kCount) + ".";
  const std::string registers(kCount, letter);
  const std::string load_form = registers + ":m", store_form = ":m" + registers;
  const bool is_parameter = kSpace == Space::kParameter;
  for (const char* how : {"", ".volatile", ".relaxed.gpu", ".acquire.gpu"}) {
    if (is_parameter && *how != '\0') break;
    opcodes.add("ld" + (how + space) + vector + type, load_form.c_str(), load<kSpace, T, kCount>);
  }
  if (kSpace == Space::kGlobal) {
    for (const char* how : {".nc", ".L1::no_allocate", ".cg", ".ca", ".cs"})
      opcodes.add("ld" + space + how + vector + type, load_form.c_str(), load<kSpace, T, kCount>);
  }
  if (is_parameter) return;
  for (const char* how : {"", ".volatile", ".relaxed.gpu", ".release.gpu"})
    opcodes.add("st" + (how + space) + vector + type, store_form.c_str(),
                store_lanes<kSpace, T, kCount>);
  if (kSpace == Space::kGlobal) {
    for (const char* how : {".cg", ".cs", ".wb", ".wt"})
      opcodes.add("st" + space + how + vector + type, store_form.c_str(),
                  store_lanes<kSpace, T, kCount>);
  }
}

template <Space kSpace, class T>
void add_vectors(Opcodes& opcodes, const std::string& space, const std::string& type, char letter) {
  add_access<kSpace, T, 1>(opcodes, space, type, letter);
  add_access<kSpace, T, 2>(opcodes, space, type, letter);
  if constexpr (sizeof(T) <= 4) add_access<kSpace, T, 4>(opcodes, space, type, letter);
}

template <Space kSpace, class T>
void add_width(Opcodes& opcodes, const std::string& space, const std::string& bits, char letter) {
  add_vectors<kSpace, T>(opcodes, space, "b" + bits, letter);
  add_vectors<kSpace, T>(opcodes, space, "u" + bits, letter);
  add_vectors<kSpace, std::make_signed_t<T>>(opcodes, space, "s" + bits, letter);
  if (sizeof(T) >= 4)
    add_vectors<kSpace, T>(opcodes, space, "f" + bits, sizeof(T) == 4 ? 'r' : 'd');
}

template <Space kSpace>
void add_space(Opcodes& opcodes, const std::string& space) {
  add_width<kSpace, uint8_t>(opcodes, space, "8", 'x');
  add_width<kSpace, u16>(opcodes, space, "16", 'x');
  add_width<kSpace, u32>(opcodes, space, "32", 'v');
  add_width<kSpace, u64>(opcodes, space, "64", 'd');
}

}  // namespace

void add_memory_opcodes(Opcodes& opcodes) {
  add_space<Space::kGlobal>(opcodes, ".global");
  add_space<Space::kShared>(opcodes, ".shared");
  add_space<Space::kGeneric>(opcodes, "");
  add_space<Space::kParameter>(opcodes, ".param");
}

}  // namespace ptx
