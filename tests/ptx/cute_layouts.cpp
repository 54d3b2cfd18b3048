// The fragment layouts that kernels/cuda/device/mma.cuh and the interpreter go by, against CuTe's:
// NVIDIA's own reading of the PTX ISA, in headers that compile on the host. Two readings of ours by
// one author could be wrong in the same way.
//
// Built and run by scripts/check_layouts.sh. Prints what differs; exit status 1 if anything does.
#include <cstdio>
#include <cute/atom/copy_traits_sm75.hpp>
#include <cute/atom/mma_traits_sm80.hpp>
#include <cute/tensor.hpp>

#include "kernels/cuda/device/mma.cuh"

namespace {

using diabolo::kernels::gpu::MmaA;
using diabolo::kernels::gpu::MmaB;
using diabolo::kernels::gpu::MmaC;
namespace host = diabolo::kernels::gpu::host;

int differences = 0;

void expect(bool is_equal, const char* what, int lane, int value) {
  if (is_equal) return;
  std::printf("%s: lane %d, value %d lies elsewhere for CuTe\n", what, lane, value);
  ++differences;
}

// One warp's registers, all zero.
struct Fragments {
  MmaA a[32] = {};
  MmaB b[32] = {};
  MmaC c[32] = {};

  template <class Multiply>
  void multiply(Multiply&& multiply) {
    const MmaA* a_at[32];
    const MmaB* b_at[32];
    MmaC* c_at[32];
    for (int lane = 0; lane < 32; ++lane) {
      a_at[lane] = &a[lane];
      b_at[lane] = &b[lane];
      c_at[lane] = &c[lane];
    }
    multiply(a_at, b_at, c_at);
  }
};

// Element `value` of a lane's operand.
template <bool kIsBf16>
void set_one(std::uint32_t* words, int value) {
  if (kIsBf16) {
    words[value / 2] |= 0x3F80U << 16 * (value % 2);
  } else {
    words[value] = 0x3F800000U;
  }
}

// A one at (m, k) and ones at (k, n) for all n make row m of the result ones, and (k, n) alone with
// ones at all (m, k) column n: so each element's place shows where the result is not zero.
template <class Traits, bool kIsBf16, class Multiply>
void check(const char* what, Multiply&& multiply) {
  constexpr int kA = kIsBf16 ? 8 : 4, kB = kIsBf16 ? 4 : 2;
  constexpr int kM = 16, kN = 8, kK = kIsBf16 ? 16 : 8;
  const typename Traits::ALayout a_layout;
  const typename Traits::BLayout b_layout;
  const typename Traits::CLayout c_layout;
  static_assert(decltype(cute::size(a_layout))::value == kM * kK);
  for (int lane = 0; lane < 32; ++lane) {
    for (int value = 0; value < kA; ++value) {
      // B is one at depth k only, for every column: the result is A's column k.
      const int at = a_layout(lane, value), m = at % kM, k = at / kM;
      Fragments f;
      set_one<kIsBf16>(f.a[lane].r, value);
      for (int other = 0; other < 32; ++other) {
        for (int v = 0; v < kB; ++v)
          if (static_cast<int>(b_layout(other, v)) / kN == k) set_one<kIsBf16>(f.b[other].r, v);
      }
      f.multiply(multiply);
      bool is_equal = true;
      for (int other = 0; other < 32; ++other) {
        for (int v = 0; v < 4; ++v) {
          const bool is_in_row = static_cast<int>(c_layout(other, v)) % kM == m;
          is_equal &= (f.c[other].r[v] == 1.0f) == is_in_row;
        }
      }
      expect(is_equal, what, lane, value);
    }
    for (int value = 0; value < kB; ++value) {
      const int at = b_layout(lane, value), n = at % kN, k = at / kN;
      Fragments f;
      set_one<kIsBf16>(f.b[lane].r, value);
      for (int other = 0; other < 32; ++other) {
        for (int v = 0; v < kA; ++v)
          if (static_cast<int>(a_layout(other, v)) / kM == k) set_one<kIsBf16>(f.a[other].r, v);
      }
      f.multiply(multiply);
      bool is_equal = true;
      for (int other = 0; other < 32; ++other) {
        for (int v = 0; v < 4; ++v) {
          const bool is_in_column = static_cast<int>(c_layout(other, v)) / kM == n;
          is_equal &= (f.c[other].r[v] == 1.0f) == is_in_column;
        }
      }
      expect(is_equal, what, lane, kA + value);
    }
    for (int value = 0; value < 4; ++value) {
      const int at = c_layout(lane, value);
      expect(at % kM == diabolo::kernels::gpu::mma_c_row(lane, value) &&
                 at / kM == diabolo::kernels::gpu::mma_c_col(lane, value),
             what, lane, kA + kB + value);
    }
  }
}

// Source: row `thread` of the matrix, 8 elements of 16 bits; destination: what each lane receives.
template <class Traits, bool kTransposed>
void check_ldmatrix(const char* what) {
  const typename Traits::SrcLayout source;
  const typename Traits::DstLayout destination;
  std::uint16_t matrix[8][8];
  const void* rows[8];
  for (int row = 0; row < 8; ++row) {
    rows[row] = matrix[row];
    for (int column = 0; column < 8; ++column)
      matrix[row][column] = static_cast<std::uint16_t>(8 * row + column);
  }
  for (int lane = 0; lane < 32; ++lane) {
    const std::uint32_t word = host::ldmatrix_register(rows, lane, kTransposed);
    for (int half = 0; half < 2; ++half) {
      // Bits, numbered alike on both sides: find the row and the element that hold this one.
      const int bit = destination(lane, half * 16);
      const int element = static_cast<int>(word >> 16 * half & 0xFFFF);
      expect(static_cast<int>(source(element / 8, element % 8 * 16)) == bit, what, lane, half);
    }
  }
}

}  // namespace

int main() {
  check<cute::MMA_Traits<cute::SM80_16x8x16_F32BF16BF16F32_TN>, true>("m16n8k16 bf16",
                                                                      host::mma_bf16);
  check<cute::MMA_Traits<cute::SM80_16x8x8_F32TF32TF32F32_TN>, false>("m16n8k8 tf32",
                                                                      host::mma_tf32);
  check_ldmatrix<cute::Copy_Traits<cute::SM75_U32x1_LDSM_N>, false>("ldmatrix");
  check_ldmatrix<cute::Copy_Traits<cute::SM75_U16x2_LDSM_T>, true>("ldmatrix.trans");
  std::printf("%d differences from CuTe's layouts\n", differences);
  return differences == 0 ? 0 : 1;
}
