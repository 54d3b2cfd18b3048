// Matrix fragments: ldmatrix and the two mma.sync shapes that every device of the list has.
//
// Fragment layouts, from the PTX ISA. lane = 4 * group + pair; each register of a 16-bit operand
// holds two neighbouring elements, the lower index in the low half.
//   m16n8k16 (bf16)  A[16][16]: a0 (group, 2 pair), a1 (group + 8, 2 pair), a2 (group, 2 pair + 8),
//                    a3 (group + 8, 2 pair + 8); B[16][8]: b0 (2 pair, group), b1 (2 pair + 8,
//                    group)
//   m16n8k8 (tf32)   A[16][8]: a0 (group, pair), a1 (group + 8, pair), a2 (group, pair + 4),
//                    a3 (group + 8, pair + 4); B[8][8]: b0 (pair, group), b1 (pair + 4, group)
//   both             C[16][8]: c0 (group, 2 pair), c1 (group, 2 pair + 1), c2, c3: row group + 8
#pragma once

#include "kernels/common/hd.h"
#include "kernels/cuda/device/convert.cuh"

namespace diabolo::kernels::gpu {

struct MmaA {
  std::uint32_t r[4];
};
struct MmaB {
  std::uint32_t r[2];
};
struct MmaC {
  float r[4];
};

// Position of accumulator register `i` of `lane` in the 16 x 8 tile.
DIABOLO_HD constexpr int mma_c_row(int lane, int i) {
  return lane / 4 + (i / 2) * 8;
}
DIABOLO_HD constexpr int mma_c_col(int lane, int i) {
  return lane % 4 * 2 + i % 2;
}

// Host halves over all 32 lanes at once; plain functions, so that a native test can call them too.
namespace host {

// c += A * B of one warp: gathers the lanes' registers into plain matrices, multiplies, adds.
inline void mma_bf16(const MmaA* const* a, const MmaB* const* b, MmaC* const* c) {
  float matrix_a[16][16];
  float matrix_b[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const int group = lane / 4;
    const int pair = lane % 4;
    for (int i = 0; i < 4; ++i) {
      const int row = group + i % 2 * 8;
      const int col = 2 * pair + i / 2 * 8;
      matrix_a[row][col] = bf16_value(static_cast<std::uint16_t>(a[lane]->r[i]));
      matrix_a[row][col + 1] = bf16_value(static_cast<std::uint16_t>(a[lane]->r[i] >> 16));
    }
    for (int i = 0; i < 2; ++i) {
      const int row = 2 * pair + i * 8;
      matrix_b[row][group] = bf16_value(static_cast<std::uint16_t>(b[lane]->r[i]));
      matrix_b[row + 1][group] = bf16_value(static_cast<std::uint16_t>(b[lane]->r[i] >> 16));
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) {
      float sum = 0;
      for (int k = 0; k < 16; ++k) {
        sum += matrix_a[mma_c_row(lane, i)][k] * matrix_b[k][mma_c_col(lane, i)];
      }
      c[lane]->r[i] += sum;
    }
  }
}

// The unit reads 19 bits of each operand: the low 13 are dropped.
inline float tf32_value(std::uint32_t bits) {
  bits &= 0xFFFFE000U;
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

inline void mma_tf32(const MmaA* const* a, const MmaB* const* b, MmaC* const* c) {
  float matrix_a[16][8];
  float matrix_b[8][8];
  for (int lane = 0; lane < 32; ++lane) {
    const int group = lane / 4;
    const int pair = lane % 4;
    for (int i = 0; i < 4; ++i) {
      matrix_a[group + i % 2 * 8][pair + i / 2 * 4] = tf32_value(a[lane]->r[i]);
    }
    for (int i = 0; i < 2; ++i) matrix_b[pair + i * 4][group] = tf32_value(b[lane]->r[i]);
  }
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) {
      float sum = 0;
      for (int k = 0; k < 8; ++k) {
        sum += matrix_a[mma_c_row(lane, i)][k] * matrix_b[k][mma_c_col(lane, i)];
      }
      c[lane]->r[i] += sum;
    }
  }
}

// The register that `lane` receives of one 8 x 8 matrix of 16-bit elements whose rows start at
// rows[0..7].
inline std::uint32_t ldmatrix_register(const void* const* rows, int lane, bool transposed) {
  const auto element = [&](int row, int col) -> std::uint32_t {
    return static_cast<const std::uint16_t*>(rows[row])[col];
  };
  const int major = lane / 4;
  const int minor = lane % 4 * 2;
  const std::uint32_t low = transposed ? element(minor, major) : element(major, minor);
  const std::uint32_t high = transposed ? element(minor + 1, major) : element(major, minor + 1);
  return low | high << 16;
}

}  // namespace host

#if defined(DIABOLO_CUDA_HOST)

struct MmaOperands {
  const MmaA* a;
  const MmaB* b;
};

template <void (*kMultiply)(const MmaA* const*, const MmaB* const*, MmaC* const*)>
void finish_mma(unsigned, const void* const* in, void* const* out) {
  const MmaA* a[32];
  const MmaB* b[32];
  MmaC* c[32];
  for (int lane = 0; lane < 32; ++lane) {
    a[lane] = static_cast<const MmaOperands*>(in[lane])->a;
    b[lane] = static_cast<const MmaOperands*>(in[lane])->b;
    c[lane] = static_cast<MmaC*>(out[lane]);
  }
  kMultiply(a, b, c);
}

// c += A * B, bf16 operands, float sums.
GPU_VERB void mma_bf16(MmaC& c, const MmaA& a, const MmaB& b) {
  const MmaOperands in{&a, &b};
  ::cuda_host::collective("mma_bf16", kFullWarp, &in, &c, finish_mma<host::mma_bf16>);
}

// c += A * B, tf32 operands, float sums.
GPU_VERB void mma_tf32(MmaC& c, const MmaA& a, const MmaB& b) {
  const MmaOperands in{&a, &b};
  ::cuda_host::collective("mma_tf32", kFullWarp, &in, &c, finish_mma<host::mma_tf32>);
}

struct RowAddresses {
  const void* row[32];
};

// Loads kCount 8 x 8 matrices of 16-bit elements; lanes 8 i ... 8 i + 7 give the rows of matrix i
// (16-byte aligned). kTransposed: each lane gets elements of a column instead of a row.
template <int kCount, bool kTransposed>
GPU_VERB void ldmatrix(std::uint32_t (&registers)[kCount], const void* row) {
  const auto lane = static_cast<int>(::cuda_host::lane_of_running_thread());
  if (lane < 8 * kCount) ::cuda_host::require_aligned(row, 16, "ldmatrix");
  RowAddresses all{};
  ::cuda_host::collective("ldmatrix", kFullWarp, row, &all,
                          [](unsigned, const void* const* in, void* const* out) {
                            for (int to = 0; to < 32; ++to) {
                              auto* rows = static_cast<RowAddresses*>(out[to]);
                              for (int from = 0; from < 32; ++from) rows->row[from] = in[from];
                            }
                          });
  for (int i = 0; i < kCount; ++i) {
    registers[i] = host::ldmatrix_register(all.row + 8 * i, lane, kTransposed);
  }
}

#elif defined(__CUDACC__)

GPU_VERB void mma_bf16(MmaC& c, const MmaA& a, const MmaB& b) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c.r[0]), "+f"(c.r[1]), "+f"(c.r[2]), "+f"(c.r[3])
      : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "r"(b.r[0]), "r"(b.r[1]));
}

GPU_VERB void mma_tf32(MmaC& c, const MmaA& a, const MmaB& b) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c.r[0]), "+f"(c.r[1]), "+f"(c.r[2]), "+f"(c.r[3])
      : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "r"(b.r[0]), "r"(b.r[1]));
}

template <int kCount, bool kTransposed>
GPU_VERB void ldmatrix(std::uint32_t (&registers)[kCount], const void* row) {
  const auto at = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (kCount == 1 && !kTransposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];"
                 : "=r"(registers[0])
                 : "r"(at)
                 : "memory");
  } else if constexpr (kCount == 1) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];"
                 : "=r"(registers[0])
                 : "r"(at)
                 : "memory");
  } else if constexpr (kCount == 2 && !kTransposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
                 : "=r"(registers[0]), "=r"(registers[1])
                 : "r"(at)
                 : "memory");
  } else if constexpr (kCount == 2) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
                 : "=r"(registers[0]), "=r"(registers[1])
                 : "r"(at)
                 : "memory");
  } else if constexpr (kCount == 4 && !kTransposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
                 : "r"(at)
                 : "memory");
  } else {
    static_assert(kCount == 4);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
                 : "r"(at)
                 : "memory");
  }
}

#endif

}  // namespace diabolo::kernels::gpu
