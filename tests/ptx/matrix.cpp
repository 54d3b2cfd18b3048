// ldmatrix and mma.sync. The layouts are those of the PTX ISA, "Matrix Fragments for mma.m16n8k16
// with floating point type", "… mma.m16n8k8" and "Warp-level matrix load instruction: ldmatrix".
// Sums are made in double and rounded once; what order and precision a device sums in is not
// documented.
#include "access.h"
#include "opcodes.h"

namespace ptx {

namespace {

// Matrix i has its rows at the addresses of lanes 8 i … 8 i + 7, 16 bytes each. Lane t gets
// elements 2 (t % 4) and one more of row t / 4; transposed, of column t / 4.
template <int kCount, bool kTransposed>
void load_matrices(Warp& warp, const Op& op, u32) {
  u64 address[kCount * 8];  // taken first: a destination may be the register that holds them
  for (int lane = 0; lane < kCount * 8; ++lane) address[lane] = warp.address(op, kCount, 0, lane);
  for (size_t i = 0; i < kCount; ++i) {
    u16 matrix[8][8];
    for (int row = 0; row < 8; ++row) {
      const int lane = static_cast<int>(i) * 8 + row;
      load_bytes<Space::kShared>(warp, address[lane], matrix[row], 16, lane);
    }
    u32* out = warp.row32(op.row[i]);
    for (int t = 0; t < 32; ++t) {
      const int major = t / 4, minor = t % 4 * 2;
      const u32 low = kTransposed ? matrix[minor][major] : matrix[major][minor];
      const u32 high = kTransposed ? matrix[minor + 1][major] : matrix[major][minor + 1];
      out[t] = high << 16 | low;
    }
  }
}

// D = A B + C for A of 16 x kK, B of kK x 8.
template <int kK>
void multiply(Warp& warp, const Op& op, const f32 (&a)[16][kK], const f32 (&b)[kK][8],
              size_t c_at) {
  f64 sum[16][8] = {};
  for (int row = 0; row < 16; ++row) {
    for (int k = 0; k < kK; ++k) {
      for (int column = 0; column < 8; ++column)
        sum[row][column] += f64{a[row][k]} * f64{b[k][column]};
    }
  }
  u32 c[4][32];  // read first: D may take C's registers in another order
  for (size_t i = 0; i < 4; ++i) std::memcpy(c[i], warp.row32(op.row[c_at + i]), sizeof c[i]);
  for (size_t i = 0; i < 4; ++i) {
    u32* d = warp.row32(op.row[i]);
    for (int lane = 0; lane < 32; ++lane) {
      const int row = lane / 4 + (i < 2 ? 0 : 8), column = lane % 4 * 2 + static_cast<int>(i & 1);
      const f64 value = sum[row][column] + f64{std::bit_cast<f32>(c[i][lane])};
      const auto rounded = static_cast<f32>(value);
      d[lane] = rounded == rounded ? std::bit_cast<u32>(rounded) : 0x7FFFFFFFU;
    }
  }
}

f32 of_bf16(u32 bits) {
  return std::bit_cast<f32>(bits << 16);
}

// a0 … a7, two in each register; b0 … b3. kK is 16, or 8 with the first halves only.
template <int kK>
void mma_bf16(Warp& warp, const Op& op, u32) {
  constexpr size_t kA = kK / 4, kB = kK / 8;  // registers
  f32 a[16][kK], b[kK][8];
  for (size_t i = 0; i < 2 * kA; ++i) {
    const u32* words = warp.row32(op.row[4 + i / 2]);
    for (int lane = 0; lane < 32; ++lane) {
      const int group = lane >> 2, in_group = lane & 3;
      const int row = i < 2 || (4 <= i && i < 6) ? group : group + 8;
      const int column = in_group * 2 + static_cast<int>(i & 1) + (i < 4 ? 0 : 8);
      a[row][column] = of_bf16(words[lane] >> 16 * (i & 1) & 0xFFFF);
    }
  }
  for (size_t i = 0; i < 2 * kB; ++i) {
    const u32* words = warp.row32(op.row[4 + kA + i / 2]);
    for (int lane = 0; lane < 32; ++lane) {
      const int row = (lane & 3) * 2 + static_cast<int>(i & 1) + (i < 2 ? 0 : 8);
      b[row][lane >> 2] = of_bf16(words[lane] >> 16 * (i & 1) & 0xFFFF);
    }
  }
  multiply<kK>(warp, op, a, b, 4 + kA + kB);
}

// Of a word the unit reads the upper 19 bits.
f32 of_tf32(u32 bits) {
  return std::bit_cast<f32>(bits & ~0x1FFFU);
}

void mma_tf32(Warp& warp, const Op& op, u32) {
  f32 a[16][8], b[8][8];
  for (size_t i = 0; i < 4; ++i) {
    const u32* words = warp.row32(op.row[4 + i]);
    for (int lane = 0; lane < 32; ++lane) {
      const int row = (lane >> 2) + (i == 0 || i == 2 ? 0 : 8);
      a[row][(lane & 3) + (i < 2 ? 0 : 4)] = of_tf32(words[lane]);
    }
  }
  for (size_t i = 0; i < 2; ++i) {
    const u32* words = warp.row32(op.row[8 + i]);
    for (int lane = 0; lane < 32; ++lane)
      b[(lane & 3) + (i == 0 ? 0 : 4)][lane >> 2] = of_tf32(words[lane]);
  }
  multiply<8>(warp, op, a, b, 10);
}

template <int kCount>
void add_loads(Opcodes& opcodes) {
  const std::string begin = "ldmatrix.sync.aligned.m8n8.x" + std::to_string(kCount);
  const std::string form = std::string(kCount, 'r') + ":m";
  for (const char* space : {".shared.b16", ".shared::cta.b16"}) {
    opcodes.add(begin + space, form.c_str(), load_matrices<kCount, false>, Flow::kWholeWarp);
    opcodes.add(begin + ".trans" + space, form.c_str(), load_matrices<kCount, true>,
                Flow::kWholeWarp);
  }
}

}  // namespace

void add_matrix_opcodes(Opcodes& opcodes) {
  add_loads<1>(opcodes);
  add_loads<2>(opcodes);
  add_loads<4>(opcodes);
  opcodes.add("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", "rrrr:rrrrrrrrrr",
              mma_bf16<16>, Flow::kWholeWarp);
  opcodes.add("mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32", "rrrr:rrrrrrr", mma_bf16<8>,
              Flow::kWholeWarp);
  opcodes.add("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", "rrrr:rrrrrrrrrr", mma_tf32,
              Flow::kWholeWarp);
}

}  // namespace ptx
