// What lanes do together, and that they part and meet.
#include <bit>
#include <cstring>
#include <numeric>

#include "snippet.h"

namespace ptx {
namespace {

std::vector<uint32_t> lanes_of(const std::string& body, std::vector<uint32_t> words) {
  return run_on(kernel_of(body), std::move(words));
}

TEST(PtxWarp, LanesPartAndMeet) {
  // Each lane adds 1 as often as its number says; then all shuffle.
  const std::string body =
      "mov.u32 %r1, 0; mov.u32 %r2, 0;\nLOOP:\nsetp.ge.u32 %p1, %r2, %tid;\n@%p1 bra DONE;\n"
      "add.s32 %r1, %r1, 3;\nadd.s32 %r2, %r2, 1;\nbra LOOP;\nDONE:\n"
      "shfl.sync.bfly.b32 %r3|%p2, %r1, 1, 31, -1;\nst.global.u32 [%mine], %r3;";
  const auto out = lanes_of(body, std::vector<uint32_t>(32));
  for (uint32_t lane = 0; lane < 32; ++lane) EXPECT_EQ(out[lane], 3 * (lane ^ 1));
}

TEST(PtxWarp, Shuffles) {
  const auto shuffled = [](const std::string& how) {
    return lanes_of("shfl.sync." + how + " %r1|%p1, %tid, 2, 31, -1; st.global.u32 [%mine], %r1;",
                    std::vector<uint32_t>(32));
  };
  EXPECT_EQ(shuffled("down.b32")[5], 7U);
  EXPECT_EQ(shuffled("down.b32")[31], 31U);
  EXPECT_EQ(shuffled("bfly.b32")[5], 7U);
  EXPECT_EQ(shuffled("idx.b32")[5], 2U);
  const auto up = lanes_of("shfl.sync.up.b32 %r1|%p1, %tid, 2, 0, -1; st.global.u32 [%mine], %r1;",
                           std::vector<uint32_t>(32));
  EXPECT_EQ(up[5], 3U);
  EXPECT_EQ(up[1], 1U);
}

TEST(PtxWarp, VotesAndAtomics) {
  const auto votes = lanes_of(
      "setp.lt.u32 %p1, %tid, 3; vote.sync.ballot.b32 %r1, %p1, -1; st.global.u32 [%mine], %r1;",
      std::vector<uint32_t>(32));
  EXPECT_EQ(votes[9], 7U);
  const std::string count = "atom.global.add.u32 %r1, [%at], 1; fence.acq_rel.gpu;";
  EXPECT_EQ(run_on(kernel_of(count), {0}, {32, 5, Order::kRandom})[0], 160U);
}

// A = row * 16 + column is written where the fragments' layout says; B selects column 1 of A.
TEST(PtxWarp, MmaTakesFragmentsAsTheIsaSays) {
  const auto bf16 = [](float value) { return std::bit_cast<uint32_t>(value) >> 16; };
  std::vector<uint32_t> words(32 * 10);
  for (uint32_t lane = 0; lane < 32; ++lane) {
    const uint32_t group = lane / 4, pair = lane % 4;
    for (uint32_t i = 0; i < 8; ++i) {
      const uint32_t row = group + (i / 2 % 2) * 8, column = pair * 2 + i % 2 + i / 4 * 8;
      words[lane * 10 + i / 2] |= bf16(static_cast<float>(row * 16 + column)) << 16 * (i % 2);
    }
    for (uint32_t i = 0; i < 4; ++i) {
      const uint32_t k = pair * 2 + i % 2 + i / 2 * 8;
      words[lane * 10 + 4 + i / 2] |= bf16(k == group ? 1.0f : 0.0f) << 16 * (i % 2);
    }
  }
  const std::string body =
      "mul.wide.u32 %d1, %tid, 40; add.s64 %d1, %d1, %at;\n"
      "ld.global.v2.u32 {%r1, %r2}, [%d1]; ld.global.v2.u32 {%r3, %r4}, [%d1+8];\n"
      "ld.global.v2.u32 {%r5, %r6}, [%d1+16]; mov.f32 %f5, 0f3F000000;\n"
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f1, %f2, %f3, %f4}, "
      "{%r1, %r2, %r3, %r4}, {%r5, %r6}, {%f5, %f5, %f5, %f5};\n"
      "st.global.f32 [%d1], %f1; st.global.f32 [%d1+4], %f2;\n"
      "st.global.f32 [%d1+8], %f3; st.global.f32 [%d1+12], %f4;";
  const auto out = lanes_of(body, words);
  for (uint32_t lane = 0; lane < 32; ++lane) {
    for (uint32_t i = 0; i < 4; ++i) {
      const uint32_t row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
      EXPECT_EQ(std::bit_cast<float>(out[lane * 10 + i]),
                static_cast<float>(row * 16 + column) + 0.5f);
    }
  }
}

TEST(PtxWarp, MmaReadsAllBeforeItWrites) {
  const std::string body =
      "mov.u32 %r1, 0; mov.f32 %f1, 0f3F800000; mov.f32 %f2, 0f40000000;\n"
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f2, %f1, %f3, %f4}, "
      "{%r1, %r1, %r1, %r1}, {%r1, %r1}, {%f1, %f2, %f1, %f2};\n"
      "st.global.f32 [%mine], %f1; st.global.f32 [%mine+128], %f2;\n"
      "st.global.f32 [%mine+256], %f3; st.global.f32 [%mine+384], %f4;";
  const auto out = lanes_of(body, std::vector<uint32_t>(128));
  const float expected[] = {2, 1, 1, 2};
  for (size_t k = 0; k < 4; ++k) EXPECT_EQ(std::bit_cast<float>(out[k * 32 + 7]), expected[k]);
}

TEST(PtxWarp, LdmatrixMayOverwriteItsAddresses) {
  const std::string body =
      "mov.u32 %r1, tile; shl.b32 %r2, %tid, 4; add.s32 %r3, %r1, %r2;\n"
      "st.shared.v4.u32 [%r3], {%tid, %tid, %tid, %tid}; bar.sync 0;\n"
      "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r3, %r4, %r5, %r6}, [%r3];\n"
      "st.global.u32 [%mine], %r3; st.global.u32 [%mine+128], %r6;";
  const auto out =
      run_on(kernel_of(body, ".shared .align 16 .b8 tile[512];"), std::vector<uint32_t>(64));
  EXPECT_EQ(out[8], 2U);  // row 2 of matrix 0, and of matrix 3
  EXPECT_EQ(out[32 + 8], 26U);
}

TEST(PtxWarp, LdmatrixGivesRowsOrColumns) {
  const auto loaded = [](const std::string& modifier) {
    const std::string body =
        "mov.u32 %r1, tile; shl.b32 %r2, %tid, 2; add.s32 %r3, %r1, %r2;\n"
        "ld.global.u32 %r4, [%mine]; st.shared.u32 [%r3], %r4; bar.sync 0;\n"
        "and.b32 %r5, %tid, 7; shl.b32 %r5, %r5, 4; add.s32 %r5, %r5, %r1;\n"
        "ldmatrix.sync.aligned.m8n8.x1" +
        modifier +
        ".shared.b16 {%r6}, [%r5];\n"
        "st.global.u32 [%mine], %r6;";
    std::vector<uint32_t> words(32);  // element (row, column) is 8 row + column
    for (uint32_t k = 0; k < 32; ++k) words[k] = (2 * k + 1) << 16 | 2 * k;
    return run_on(kernel_of(body, ".shared .align 16 .b8 tile[128];"), words);
  };
  EXPECT_EQ(loaded("")[13], (8U * 3 + 3) << 16 | (8 * 3 + 2));
  EXPECT_EQ(loaded(".trans")[13], (8U * 3 + 3) << 16 | (8 * 2 + 3));
}

TEST(PtxWarp, EveryOrderGivesTheSame) {
  // Each thread hands its number on through shared memory, twice.
  const std::string body =
      "mov.u32 %r1, tile; shl.b32 %r2, %tid, 2; add.s32 %r3, %r1, %r2;\n"
      "xor.b32 %r5, %r2, 256; add.s32 %r5, %r5, %r1;\nst.shared.u32 [%r3], %tid;\nbar.sync 0;\n"
      "ld.shared.u32 %r4, [%r5];\nbar.sync 0;\nst.shared.u32 [%r3], %r4;\nbar.sync 0;\n"
      "ld.shared.u32 %r6, [%r5];\nst.global.u32 [%mine], %r6;";
  std::vector<uint32_t> expected(128);
  std::iota(expected.begin(), expected.end(), 0U);
  for (const Order order : {Order::kForward, Order::kReverse, Order::kRandom}) {
    EXPECT_EQ(run_on(kernel_of(body, ".shared .align 16 .b8 tile[512];"),
                     std::vector<uint32_t>(128), {128, 1, order}),
              expected);
  }
}

}  // namespace
}  // namespace ptx
