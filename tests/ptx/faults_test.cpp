// Every check of the interpreter has a kernel here that breaks it, beside one that does not.
#include <cstring>

#include "snippet.h"

namespace ptx {
namespace {

constexpr const char* kTile = ".shared .align 16 .b8 tile[512];";
const std::string kTileAddress =
    "mov.u32 %r1, tile; shl.b32 %r2, %tid, 2; add.s32 %r3, %r1, %r2;\n";

std::string tile_kernel(const std::string& body) {
  return kernel_of(kTileAddress + body, kTile);
}

TEST(PtxFaults, RefusesWhatItDoesNotKnow) {
  for (const char* unknown :
       {"frobnicate.b32 %r1, %r2;", "add.sat.s32 %r1, 1, 2;", "ld.global.v8.f32 %f1, [%at];",
        "cvt.rn.relu.bf16x2.f32 %r1, 0f00000000, 0f00000000;", "add.s32 %r1, 1;",
        "add.s32 %d1, 1, 2;", "mov.u32 %r1, %clock;", "mov.u32 %r1, nowhere;", ".local .b8 a[4];",
        ".pragma \"fast\";", "bra nowhere;", "call f;"}) {
    EXPECT_EQ(fault_of(kernel_of(unknown)), FaultKind::kUnknown) << unknown;
  }
  EXPECT_EQ(fault_of(".version 9.0\n.target sm_80\n.func f() {}"), FaultKind::kUnknown);
}

TEST(PtxFaults, GlobalBoundsAndAlignment) {
  EXPECT_EQ(fault_of(kernel_of("st.global.u32 [%mine], %tid;"), {128, 1}), std::nullopt);
  EXPECT_EQ(fault_of(kernel_of("st.global.u32 [%mine+4], %tid;"), {128, 1}), FaultKind::kBounds);
  EXPECT_EQ(fault_of(kernel_of("ld.global.u32 %r1, [%at+-4];")), FaultKind::kBounds);
  EXPECT_EQ(fault_of(kernel_of("ld.global.u32 %r1, [%at+2];")), FaultKind::kMisaligned);
  EXPECT_EQ(fault_of(kernel_of("ld.global.v2.u32 {%r1, %r2}, [%at+4];")), FaultKind::kMisaligned);
  EXPECT_EQ(fault_of(kernel_of("ld.param.u32 %r1, [array+8];")), FaultKind::kBounds);
}

TEST(PtxFaults, SharedBoundsAndSpaces) {
  EXPECT_EQ(fault_of(tile_kernel("st.shared.u32 [%r3], %tid;"), {128, 1}), std::nullopt);
  EXPECT_EQ(fault_of(tile_kernel("st.shared.u32 [%r3+4], %tid;"), {128, 1}), FaultKind::kBounds);
  EXPECT_EQ(fault_of(tile_kernel("st.shared.u32 [%r3+2], %tid;")), FaultKind::kMisaligned);
  const std::string generic = "cvt.u64.u32 %d1, %r3; cvta.shared.u64 %d2, %d1;\n";
  EXPECT_EQ(fault_of(tile_kernel(generic + "st.u32 [%d2], %tid;")), std::nullopt);
  EXPECT_EQ(fault_of(tile_kernel(generic + "cvt.u32.u64 %r4, %d2; st.shared.u32 [%r4], %tid;")),
            FaultKind::kBounds);
  EXPECT_EQ(fault_of(tile_kernel("cvt.u64.u32 %d1, %r3; st.global.u32 [%d1], %tid;")),
            FaultKind::kBounds);
}

TEST(PtxFaults, SharedMemoryThatNobodyWrote) {
  EXPECT_EQ(fault_of(tile_kernel("ld.shared.u32 %r4, [%r3];")), FaultKind::kUninitialised);
  const std::string three =
      "st.shared.u32 [%r1], 0; st.shared.u32 [%r1+4], 0;\n"
      "st.shared.u32 [%r1+8], 0;\n";
  const std::string load = "ld.shared.v4.u32 {%r4, %r5, %r6, %r7}, [%r1];";
  EXPECT_EQ(fault_of(tile_kernel(three + load), {1, 1}), FaultKind::kUninitialised);
  EXPECT_EQ(fault_of(tile_kernel(three + ".pragma \"used_bytes_mask 4095\";\n" + load), {1, 1}),
            std::nullopt);
}

// Cells are as small as the smallest access, whatever the opcode calls it.
TEST(PtxFaults, SharedMemoryByBytesAndGenericAddresses) {
  const std::string generic = "cvt.u64.u32 %d1, %r3; cvta.shared.u64 %d2, %d1;\n";
  for (const char* load :
       {"ld.v2.u8 {%r4, %r5}, [%d2];", "ld.volatile.u8 %r4, [%d2];", "ld.b16 %h1, [%d2];",
        "ld.relaxed.gpu.u16 %h1, [%d2];", "ld.v4.s8 {%r4, %r5, %r6, %r7}, [%d2];",
        "ld.volatile.shared.v2.u16 {%h1, %h2}, [%r3];"}) {
    EXPECT_EQ(fault_of(tile_kernel(generic + load)), FaultKind::kUninitialised) << load;
    EXPECT_EQ(fault_of(tile_kernel(generic + "st.shared.u32 [%r3], 0;\n" + load)), std::nullopt)
        << load;
  }
  const std::string zero = "mov.u16 %h1, 0;\n";
  for (const char* store : {"st.volatile.u8 [%d2], %h1;", "st.relaxed.gpu.u16 [%d2], %h1;"}) {
    const std::string other = "xor.b32 %r5, %r2, 128; add.s32 %r5, %r5, %r1;\n";
    const std::string read = "ld.shared.u8 %r4, [%r5];";
    const auto fault = fault_of(tile_kernel(generic + zero + other + store + read), {64, 1});
    EXPECT_TRUE(fault == FaultKind::kRace || fault == FaultKind::kUninitialised) << store;
  }
}

// What a mask of used bytes leaves out is neither checked nor zero.
TEST(PtxFaults, UnusedElementsOfVectors) {
  const std::string write =
      "mov.u16 %h1, 5; st.shared.u16 [%r1], %h1; st.shared.u16 [%r1+4], %h1;\n";
  const std::string load = "ld.shared.v4.u16 {%h1, %h2, %h3, %h4}, [%r1];\n";
  const std::string result = "cvt.u32.u16 %r4, %h2; st.global.u32 [%at], %r4;";
  const auto masked = [&](const char* mask) {
    return tile_kernel(write + ".pragma \"used_bytes_mask " + mask + "\";\n" + load + result);
  };
  EXPECT_NE(run_on(masked("51"), std::vector<uint32_t>(1), {1, 1})[0], 0U);
  EXPECT_EQ(fault_of(masked("63"), {1, 1}), FaultKind::kUninitialised);
}

TEST(PtxFaults, Races) {
  const std::string other = "xor.b32 %r5, %r2, 128; add.s32 %r5, %r5, %r1;\n";
  const std::string write = "st.shared.u32 [%r3], %tid;\n", read = "ld.shared.u32 %r4, [%r5];\n";
  for (const Order order : {Order::kForward, Order::kReverse, Order::kRandom}) {
    const Shape shape{64, 1, order};
    EXPECT_EQ(fault_of(tile_kernel(other + write + "bar.sync 0;\n" + read), shape), std::nullopt);
    const auto without = fault_of(tile_kernel(other + write + read), shape);
    EXPECT_TRUE(without == FaultKind::kRace || without == FaultKind::kUninitialised);
    EXPECT_EQ(fault_of(tile_kernel(other + write + "bar.sync 0;\n" + read + write), shape),
              FaultKind::kRace);
    EXPECT_EQ(fault_of(tile_kernel("st.shared.u32 [%r1], %tid;"), shape), FaultKind::kRace);
  }
  const std::string neighbour = "xor.b32 %r5, %r2, 4; add.s32 %r5, %r5, %r1;\n";
  EXPECT_EQ(fault_of(tile_kernel(neighbour + write + read)), FaultKind::kRace);
  EXPECT_EQ(fault_of(tile_kernel(neighbour + write + "bar.warp.sync 0xFFFFFFFF;\n" + read)),
            std::nullopt);
}

// A barrier of some lanes orders these alone, and what they had learnt of others.
TEST(PtxFaults, BarriersOfSomeLanes) {
  const std::string write = "st.shared.u32 [%r3], %tid;\n";
  const std::string half = "setp.lt.u32 %p1, %tid, 16; selp.b32 %r6, 0xFFFF, 0xFFFF0000, %p1;\n";
  const auto read = [](const char* distance) {
    return std::string("xor.b32 %r5, %r2, ") + distance +
           "; add.s32 %r5, %r5, %r1; ld.shared.u32 %r4, [%r5];\n";
  };
  const std::string first = half + write + "@%p1 bar.warp.sync 0xFFFF;\n";
  EXPECT_EQ(fault_of(tile_kernel(first + read("4"))), FaultKind::kRace);
  EXPECT_EQ(fault_of(tile_kernel(first + "@!%p1 ret;\n" + read("4"))), std::nullopt);
  const std::string each = half + write + "bar.warp.sync %r6;\n";
  EXPECT_EQ(fault_of(tile_kernel(each + read("4"))), std::nullopt);
  EXPECT_EQ(fault_of(tile_kernel(each + read("64"))), FaultKind::kRace);
  const std::string pairs =
      "and.b32 %r7, %tid, 15; shl.b32 %r6, 0x10001, %r7; bar.warp.sync %r6;\n";
  EXPECT_EQ(fault_of(tile_kernel(each + pairs + read("68"))), std::nullopt);
  EXPECT_EQ(fault_of(tile_kernel(half + write + pairs + read("68"))), FaultKind::kRace);
}

TEST(PtxFaults, AsynchronousCopies) {
  const std::string copy = "cp.async.ca.shared.global [%r3], [%mine], 4;\n";
  const std::string commit = "cp.async.commit_group;\n", read = "ld.shared.u32 %r4, [%r3];\n";
  const std::string wait = "cp.async.wait_group 0;\n", write = "st.shared.u32 [%r3], 0;\n";
  EXPECT_EQ(fault_of(tile_kernel(copy + commit + wait + read)), std::nullopt);
  for (const std::string& body :
       {copy + commit + read + wait, copy + wait + read, copy + commit + write + wait,
        copy + commit + "cp.async.wait_group 1;\n" + read, copy + commit, copy + commit + copy}) {
    EXPECT_EQ(fault_of(tile_kernel(body)), FaultKind::kAsyncNotWaited) << body;
  }
  const std::string neighbour = "xor.b32 %r5, %r2, 4; add.s32 %r5, %r5, %r1;\n";
  EXPECT_EQ(fault_of(tile_kernel(neighbour + copy + commit + wait + "ld.shared.u32 %r4, [%r5];")),
            FaultKind::kRace);
  EXPECT_EQ(fault_of(tile_kernel("cp.async.cg.shared.global [%r1], [%at+8], 16;"), {1, 1}),
            FaultKind::kMisaligned);
  EXPECT_EQ(fault_of(tile_kernel("cp.async.ca.shared.global [%r3], [%at+512], 4;"), {1, 1}),
            FaultKind::kBounds);
  // Of no bytes nothing is read; the rest is zero.
  const std::string none = "cp.async.ca.shared.global [%r3], [%at+512], 4, 0;\n";
  const std::string zero = tile_kernel(none + commit + wait + read + "st.global.u32 [%mine], %r4;");
  EXPECT_EQ(run_on(zero, std::vector<uint32_t>(128, 7))[31], 0U);
}

TEST(PtxFaults, Divergence) {
  const std::string half = "setp.lt.u32 %p1, %tid, 16;\n";
  EXPECT_EQ(fault_of(kernel_of(half + "@%p1 bar.sync 0;")), FaultKind::kDivergent);
  EXPECT_EQ(fault_of(kernel_of(half + "@%p1 ret;\nbar.sync 0;")), FaultKind::kDivergent);
  const std::string warp = "setp.lt.u32 %p1, %tid, 32;\n";
  EXPECT_EQ(fault_of(kernel_of(warp + "@%p1 bar.sync 0;"), {64, 1}), FaultKind::kDivergent);
  EXPECT_EQ(fault_of(kernel_of(warp + "@%p1 bar.sync 1;\n@!%p1 bar.sync 0;"), {64, 1}),
            FaultKind::kDivergent);
  EXPECT_EQ(fault_of(kernel_of(half + "@%p1 bra L;\nadd.s32 %r1, %tid, 1;\nL:\nbar.sync 0;")),
            std::nullopt);
  const std::string shuffle = "shfl.sync.bfly.b32 %r1|%p2, %tid, 1, 31, ";
  EXPECT_EQ(fault_of(kernel_of(half + "@%p1 " + shuffle + "-1;")), FaultKind::kDivergent);
  EXPECT_EQ(fault_of(kernel_of(half + "@%p1 " + shuffle + "0xFFFF;")), std::nullopt);
}

TEST(PtxFaults, Masks) {
  EXPECT_EQ(fault_of(kernel_of("shfl.sync.bfly.b32 %r1, %tid, 1, 31, 0xFFFF;")),
            FaultKind::kWrongMask);
  const std::string own = "setp.lt.u32 %p1, %tid, 16; selp.b32 %r2, 0xFFFF, 0xFFFF0000, %p1;\n";
  EXPECT_EQ(fault_of(kernel_of(own + "shfl.sync.bfly.b32 %r1, %tid, 1, 31, %r2;")), std::nullopt);
  EXPECT_EQ(fault_of(kernel_of(own + "shfl.sync.bfly.b32 %r1, %tid, 16, 31, %r2;")),
            FaultKind::kWrongMask);
}

TEST(PtxFaults, RegistersThatNobodyWrote) {
  EXPECT_EQ(fault_of(kernel_of("add.s32 %r1, %r2, 1;")), FaultKind::kUndefinedRegister);
  const std::string half = "setp.lt.u32 %p1, %tid, 16;\n@%p1 mov.u32 %r1, 0;\n";
  EXPECT_EQ(fault_of(kernel_of(half + "@%p1 add.s32 %r2, %r1, 1;")), std::nullopt);
  EXPECT_EQ(fault_of(kernel_of(half + "add.s32 %r2, %r1, 1;")), FaultKind::kUndefinedRegister);
  EXPECT_EQ(fault_of(kernel_of("@%p1 ret;")), FaultKind::kUndefinedRegister);
}

TEST(PtxFaults, LaunchesAndArithmetic) {
  EXPECT_EQ(fault_of(kernel_of(""), {129, 1}), FaultKind::kLaunch);
  EXPECT_EQ(fault_of(kernel_of("div.s32 %r1, %tid, 0;")), FaultKind::kArithmetic);
}

}  // namespace
}  // namespace ptx
