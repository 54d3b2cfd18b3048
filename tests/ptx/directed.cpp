// Arithmetic that rounds down, up or towards zero. Compiled with -frounding-math: the mode is the
// machine's.
#include <cfenv>

#include "lanes.h"
#include "opcodes.h"

namespace ptx {

namespace {

template <int kMode, class F>
void rounded(Warp& warp, const Op& op, u32 exec) {
  const int before = std::fegetround();
  std::fesetround(kMode);
  const u32 *a = warp.row32(op.row[1]), *b = warp.row32(op.row[2]), *c = warp.row32(op.row[3]);
  u32 out[32];
  for (int k = 0; k < 32; ++k) {
    // Volatile, so that nothing is computed before the mode is set or after it is set back.
    const volatile f32 x = std::bit_cast<f32>(a[k]), y = std::bit_cast<f32>(b[k]);
    const volatile f32 z = op.operands > 3 ? std::bit_cast<f32>(c[k]) : 0.0f;
    const volatile f32 result = F()(x, y, z);
    const f32 value = result;
    out[k] = value == value ? std::bit_cast<u32>(value) : 0x7FFFFFFFU;
  }
  std::fesetround(before);
  store(warp.row32(op.row[0]), out, exec);
}

struct Add {
  f32 operator()(f32 a, f32 b, f32) const { return a + b; }
};
struct Mul {
  f32 operator()(f32 a, f32 b, f32) const { return a * b; }
};
struct Fma {
  f32 operator()(f32 a, f32 b, f32 c) const { return std::fma(a, b, c); }
};

template <int kMode>
void add_mode(Opcodes& opcodes, const std::string& mode) {
  opcodes.add("add." + mode + ".f32", "r:rr", rounded<kMode, Add>);
  opcodes.add("mul." + mode + ".f32", "r:rr", rounded<kMode, Mul>);
  opcodes.add("fma." + mode + ".f32", "r:rrr", rounded<kMode, Fma>);
}

}  // namespace

void add_directed_opcodes(Opcodes& opcodes) {
  add_mode<FE_DOWNWARD>(opcodes, "rm");
  add_mode<FE_UPWARD>(opcodes, "rp");
  add_mode<FE_TOWARDZERO>(opcodes, "rz");
}

}  // namespace ptx
