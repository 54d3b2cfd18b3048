#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "snippet.h"

namespace ptx {
namespace {

uint32_t bits(float value) {
  return std::bit_cast<uint32_t>(value);
}

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr uint32_t kNan = 0x7FFFFFFF;

// %r4 (%f4) of %r1, %r2, %r3, the first three words; %f1 … and %h1 … have the same bits.
uint32_t result_of(const std::string& instruction, uint32_t a, uint32_t b = 0, uint32_t c = 0) {
  const std::string body =
      "ld.global.u32 %r1, [%at]; ld.global.u32 %r2, [%at+4]; ld.global.u32 %r3, [%at+8];\n"
      "mov.b32 %f1, %r1; mov.b32 %f2, %r2; mov.b32 %f3, %r3; mov.u32 %r4, 0;\n"
      "cvt.u16.u32 %h1, %r1; cvt.u16.u32 %h2, %r2;\n"
      "cvt.s64.s32 %d1, %r1; cvt.s64.s32 %d2, %r2; setp.ne.s32 %p2, %r3, 0;\n" +
      instruction + (instruction.find("%f4,") != std::string::npos ? "mov.b32 %r4, %f4;" : "") +
      "st.global.u32 [%at], %r4;";
  return run_on(kernel_of(body), {a, b, c}, {1, 1})[0];
}

TEST(PtxArithmetic, Integers) {
  EXPECT_EQ(result_of("add.s32 %r4, %r1, %r2;", 0x7FFFFFFF, 1), 0x80000000);
  EXPECT_EQ(result_of("sub.s32 %r4, %r1, %r2;", 3, 5), uint32_t(-2));
  EXPECT_EQ(result_of("mul.hi.u32 %r4, %r1, %r2;", 0x80000000, 6), 3U);
  EXPECT_EQ(result_of("mad.lo.s32 %r4, %r1, %r2, %r3;", uint32_t(-3), 5, 7), uint32_t(-8));
  EXPECT_EQ(result_of("min.s32 %r4, %r1, %r2;", uint32_t(-3), 5), uint32_t(-3));
  EXPECT_EQ(result_of("min.u32 %r4, %r1, %r2;", uint32_t(-3), 5), 5U);
  EXPECT_EQ(result_of("div.s32 %r4, %r1, %r2;", uint32_t(-7), 2), uint32_t(-3));
  EXPECT_EQ(result_of("rem.u32 %r4, %r1, %r2;", 17, 5), 2U);
  EXPECT_EQ(result_of("mul.wide.s32 %d3, %r1, %r2; shr.s64 %d3, %d3, 32; cvt.u32.u64 %r4, %d3;",
                      uint32_t(-1), 2),
            uint32_t(-1));
  EXPECT_EQ(result_of("abs.s32 %r4, %r1;", uint32_t(-9)), 9U);
}

TEST(PtxArithmetic, Bits) {
  EXPECT_EQ(result_of("shl.b32 %r4, %r1, %r2;", 3, 4), 48U);
  EXPECT_EQ(result_of("shl.b32 %r4, %r1, %r2;", 3, 32), 0U);
  EXPECT_EQ(result_of("shr.s32 %r4, %r1, %r2;", 0x80000000, 40), 0xFFFFFFFF);
  EXPECT_EQ(result_of("shr.u32 %r4, %r1, %r2;", 0x80000000, 31), 1U);
  EXPECT_EQ(result_of("bfi.b32 %r4, %r1, %r2, 8, 4;", 0xFF, 0), 0xF00U);
  EXPECT_EQ(result_of("bfe.u32 %r4, %r1, 4, 8;", 0x12345678), 0x67U);
  EXPECT_EQ(result_of("lop3.b32 %r4, %r1, %r2, %r3, 0xE2;", 12, 10, 6), (10U & ~6U) | (12U & 6U));
  EXPECT_EQ(result_of("prmt.b32 %r4, %r1, %r2, 0x5410;", 0x11112222, 0x33334444), 0x44442222U);
  EXPECT_EQ(result_of("shf.l.wrap.b32 %r4, %r1, %r2, 8;", 0xAABBCCDD, 0x11223344), 0x223344AAU);
  EXPECT_EQ(result_of("popc.b32 %r4, %r1;", 0xF0F0), 8U);
  EXPECT_EQ(result_of("clz.b32 %r4, %r1;", 1), 31U);
  EXPECT_EQ(result_of("mov.b32 %r4, {%h1, %h2};", 0x1111, 0x2222), 0x22221111U);
  EXPECT_EQ(result_of("mov.b64 %d3, {%r1, %r2}; mov.b64 {%r5, %r4}, %d3;", 1, 2), 2U);
}

TEST(PtxArithmetic, Reals) {
  EXPECT_EQ(result_of("add.f32 %f4, %f1, %f2;", bits(1), bits(0x1p-24f)), bits(1));
  EXPECT_EQ(result_of("add.rz.f32 %f4, %f1, %f2;", bits(1), bits(-0x1p-30f)), bits(1 - 0x1p-24f));
  EXPECT_EQ(result_of("fma.rm.f32 %f4, %f1, %f2, %f3;", bits(1), bits(-0x1p-30f), bits(1)),
            bits(1 - 0x1p-24f));
  EXPECT_EQ(result_of("add.rp.f32 %f4, %f1, %f2;", bits(1), bits(0x1p-30f)), bits(1 + 0x1p-23f));
  // Fused: the product's low bits count.
  const float a = 1 + 0x1p-12f;
  EXPECT_EQ(result_of("fma.rn.f32 %f4, %f1, %f1, %f3;", bits(a), 0, bits(-1 - 0x1p-11f)),
            bits(0x1p-24f));
  EXPECT_EQ(result_of("sub.f32 %f4, %f1, %f1;", bits(kInfinity)), kNan);
  EXPECT_EQ(result_of("max.f32 %f4, %f1, %f2;", kNan, bits(2)), bits(2));
  EXPECT_EQ(result_of("min.f32 %f4, %f1, %f2;", bits(0), bits(-0.0f)), bits(-0.0f));
  EXPECT_EQ(result_of("copysign.f32 %f4, %f1, %f2;", bits(-1), bits(3)), bits(-3));
  EXPECT_EQ(result_of("rcp.approx.ftz.f32 %f4, %f1;", bits(0x1p127f)), bits(0));
  EXPECT_EQ(result_of("rcp.rn.f32 %f4, %f1;", bits(0x1p127f)), bits(0x1p-127f));
  EXPECT_EQ(result_of("ex2.approx.ftz.f32 %f4, %f1;", bits(-3)), bits(0.125f));
  EXPECT_EQ(result_of("sqrt.rn.f32 %f4, %f1;", bits(2)), bits(std::sqrt(2.0f)));
}

TEST(PtxArithmetic, Conversions) {
  EXPECT_EQ(result_of("cvt.rni.s32.f32 %r4, %f1;", bits(2.5f)), 2U);
  EXPECT_EQ(result_of("cvt.rzi.s32.f32 %r4, %f1;", bits(-2.5f)), uint32_t(-2));
  EXPECT_EQ(result_of("cvt.rzi.s32.f32 %r4, %f1;", bits(3e9f)), 0x7FFFFFFFU);
  EXPECT_EQ(result_of("cvt.rzi.u32.f32 %r4, %f1;", bits(-1)), 0U);
  EXPECT_EQ(result_of("cvt.rzi.s32.f32 %r4, %f1;", kNan), 0U);
  EXPECT_EQ(result_of("cvt.sat.f32.f32 %f4, %f1;", bits(1.5f)), bits(1));
  EXPECT_EQ(result_of("cvt.sat.f32.f32 %f4, %f1;", kNan), bits(0));
  // a is the upper half; 1 + 2^-8 lies in the middle of two and goes to the even one.
  EXPECT_EQ(result_of("cvt.rn.bf16x2.f32 %r4, %f1, %f2;", bits(1), bits(2)), 0x3F804000U);
  EXPECT_EQ(result_of("cvt.rn.bf16x2.f32 %r4, %f1, %f2;", bits(1 + 0x1p-8f), bits(1 + 0x3p-8f)),
            0x3F803F82U);
  // Ties away from zero; 13 bits are open, and not zero.
  const auto tf32 = [](float a) { return result_of("cvt.rna.tf32.f32 %r4, %f1;", bits(a)); };
  EXPECT_EQ(tf32(1 + 0x1p-11f) & ~0x1FFFU, bits(1 + 0x1p-10f));
  EXPECT_NE(tf32(1) & 0x1FFFU, 0U);
  EXPECT_EQ(result_of("cvt.s16.s8 %h3, %r1; cvt.s32.s16 %r4, %h3;", 0x80), uint32_t(-128));
  EXPECT_EQ(result_of("cvt.rn.f32.u16 %f4, %h1;", 0xFFFF), bits(65535));
}

// 0 only where neither type has 64 bits.
TEST(PtxArithmetic, NanToInteger) {
  for (const char* type : {"s32", "u32"})
    EXPECT_EQ(result_of("cvt.rni." + std::string(type) + ".f32 %r4, %f1;", kNan), 0U);
  for (const char* type : {"s64", "u64"}) {
    const std::string convert = "cvt.rzi." + std::string(type) + ".f32 %d3, %f1;";
    EXPECT_EQ(result_of(convert + "cvt.u32.u64 %r4, %d3;", kNan), 0U);
    EXPECT_EQ(result_of(convert + "shr.u64 %d3, %d3, 32; cvt.u32.u64 %r4, %d3;", kNan), 0x80000000);
  }
  EXPECT_EQ(result_of("cvt.f64.f32 %d3, %f1; cvt.rzi.s32.f64 %r4, %d3;", kNan), 0x80000000);
}

TEST(PtxArithmetic, Comparisons) {
  const auto holds = [](const std::string& how, float a, float b) {
    return result_of("setp." + how + ".f32 %p1, %f1, %f2; selp.b32 %r4, 1, 0, %p1;", bits(a),
                     bits(b)) == 1;
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(holds("lt", 1, 2));
  EXPECT_FALSE(holds("lt", 1, nan));
  EXPECT_TRUE(holds("ltu", 1, nan));
  EXPECT_FALSE(holds("ne", 1, nan));
  EXPECT_TRUE(holds("neu", 1, nan));
  EXPECT_TRUE(holds("nan", nan, 1));
  EXPECT_EQ(result_of("setp.lt.s16 %p1, %h1, %h2; selp.b32 %r4, 1, 0, %p1;", 0xFFFF, 1), 1U);
  EXPECT_EQ(result_of("setp.lt.u16 %p1, %h1, %h2; selp.b32 %r4, 1, 0, %p1;", 0xFFFF, 1), 0U);
  const std::string joined = "setp.lt.and.s32 %p1|%p3, %r1, %r2, %p2; selp.b32 %r4, 1, 0, ";
  EXPECT_EQ(result_of(joined + "%p1;", 1, 2, 0), 0U);
  EXPECT_EQ(result_of(joined + "%p1;", 1, 2, 1), 1U);
  EXPECT_EQ(result_of(joined + "%p3;", 2, 1, 1), 1U);
  EXPECT_EQ(result_of("mov.pred %p1, !%p2; selp.b32 %r4, 1, 0, %p1;", 0, 0, 1), 0U);
}

}  // namespace
}  // namespace ptx
