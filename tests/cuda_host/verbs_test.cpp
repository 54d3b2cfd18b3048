// Every verb of kernels/cuda/device/ against its host half and against a plain definition.
//
// Built twice: for the harness, where the verb is its host half and the plain definition is what
// can fail, and natively with nvcc, where the PTX is compared with the host half, lane by lane.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "cuda_host/device_array.h"
#include "cuda_host/schedules.h"
#include "cuda_host/verb_kernels.h"
#include "kernels/cuda/device/mma.cuh"

namespace diabolo {
namespace {

using test::DeviceArray;
using test::for_each_schedule;
using test::run_on_device;
namespace host = kernels::gpu::host;

class VerbsTest : public ::testing::Test {
 protected:
  void SetUp() override { test::skip_or_fail_without_device(); }
  std::mt19937 random_{7};
};

struct Fragments {
  std::vector<std::uint32_t> a, b;
  std::vector<float> c;
};

// Small integers: products and sums are exact, so every half must give the same bits.
template <class MakeWord>
Fragments integer_fragments(std::mt19937& random, MakeWord&& make_word) {
  std::uniform_int_distribution<int> integer(-8, 8);
  Fragments f;
  for (int i = 0; i < 32 * 4; ++i) f.a.push_back(make_word(integer(random), integer(random)));
  for (int i = 0; i < 32 * 2; ++i) f.b.push_back(make_word(integer(random), integer(random)));
  for (int i = 0; i < 32 * 4; ++i) f.c.push_back(static_cast<float>(integer(random)));
  return f;
}

std::uint32_t bf16_pair(int low, int high) {
  return host::bf16_bits(static_cast<float>(low)) |
         static_cast<std::uint32_t>(host::bf16_bits(static_cast<float>(high))) << 16;
}

std::uint32_t tf32_word(int value, int) {
  return host::tf32_bits(static_cast<float>(value));
}

template <class Launch>
std::vector<float> run_mma(const Fragments& f, Launch&& launch) {
  const DeviceArray<std::uint32_t> a(f.a), b(f.b);
  const DeviceArray<float> c(f.c);
  run_on_device([&](void* stream) { launch({a.data(), b.data(), c.data()}, stream); });
  return c.read();
}

// The host half on all lanes.
template <class Multiply>
std::vector<float> host_half(const Fragments& f, Multiply&& multiply) {
  std::vector<kernels::gpu::MmaA> a(32);
  std::vector<kernels::gpu::MmaB> b(32);
  std::vector<kernels::gpu::MmaC> c(32);
  const kernels::gpu::MmaA* a_at[32];
  const kernels::gpu::MmaB* b_at[32];
  kernels::gpu::MmaC* c_at[32];
  for (std::size_t lane = 0; lane < 32; ++lane) {
    for (std::size_t i = 0; i < 4; ++i) a[lane].r[i] = f.a[lane * 4 + i];
    for (std::size_t i = 0; i < 2; ++i) b[lane].r[i] = f.b[lane * 2 + i];
    for (std::size_t i = 0; i < 4; ++i) c[lane].r[i] = f.c[lane * 4 + i];
    a_at[lane] = &a[lane];
    b_at[lane] = &b[lane];
    c_at[lane] = &c[lane];
  }
  multiply(a_at, b_at, c_at);
  std::vector<float> out;
  for (const auto& lane : c) out.insert(out.end(), lane.r, lane.r + 4);
  return out;
}

// PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type" (and .m16n8k8 for tf32), as
// printed there: with group = lane >> 2 and t = lane & 3,
//   k16 A: row = group for ai where 0 <= i < 2 || 4 <= i < 6, else group + 8;
//          col = t * 2 + (i & 1) for i < 4, else that + 8
//   k16 B: row = t * 2 + (i & 1) for i < 2, else that + 8; col = group
//   k8  A: row = group for a0 and a2, else group + 8; col = t for a0 and a1, else t + 4
//   k8  B: row = t for b0, t + 4 for b1; col = group
//   C:     row = group for ci where i < 2, else group + 8; col = t * 2 + (i & 1)
std::vector<float> by_definition_bf16(const Fragments& f) {
  double a[16][16], b[16][8];
  for (std::size_t lane = 0; lane < 32; ++lane) {
    const std::size_t group = lane >> 2, t = lane & 3;
    for (std::size_t i = 0; i < 8; ++i) {
      const std::size_t row = i < 2 || (4 <= i && i < 6) ? group : group + 8;
      const std::size_t col = t * 2 + (i & 1) + (i < 4 ? 0 : 8);
      a[row][col] =
          host::bf16_value(static_cast<std::uint16_t>(f.a[lane * 4 + i / 2] >> i % 2 * 16));
    }
    for (std::size_t i = 0; i < 4; ++i) {
      const std::size_t row = t * 2 + (i & 1) + (i < 2 ? 0 : 8);
      b[row][group] =
          host::bf16_value(static_cast<std::uint16_t>(f.b[lane * 2 + i / 2] >> i % 2 * 16));
    }
  }
  std::vector<float> c = f.c;
  for (std::size_t lane = 0; lane < 32; ++lane) {
    for (std::size_t i = 0; i < 4; ++i) {
      const std::size_t row = (lane >> 2) + (i < 2 ? 0 : 8), col = (lane & 3) * 2 + (i & 1);
      for (std::size_t k = 0; k < 16; ++k)
        c[lane * 4 + i] += static_cast<float>(a[row][k] * b[k][col]);
    }
  }
  return c;
}

std::vector<float> by_definition_tf32(const Fragments& f) {
  double a[16][8], b[8][8];
  for (std::size_t lane = 0; lane < 32; ++lane) {
    const std::size_t group = lane >> 2, t = lane & 3;
    for (std::size_t i = 0; i < 4; ++i) {
      const std::size_t row = i == 0 || i == 2 ? group : group + 8, col = i < 2 ? t : t + 4;
      a[row][col] = host::tf32_value(f.a[lane * 4 + i]);
    }
    b[t][group] = host::tf32_value(f.b[lane * 2]);
    b[t + 4][group] = host::tf32_value(f.b[lane * 2 + 1]);
  }
  std::vector<float> c = f.c;
  for (std::size_t lane = 0; lane < 32; ++lane) {
    for (std::size_t i = 0; i < 4; ++i) {
      const std::size_t row = (lane >> 2) + (i < 2 ? 0 : 8), col = (lane & 3) * 2 + (i & 1);
      for (std::size_t k = 0; k < 8; ++k)
        c[lane * 4 + i] += static_cast<float>(a[row][k] * b[k][col]);
    }
  }
  return c;
}

TEST_F(VerbsTest, MmaBf16) {
  const Fragments f = integer_fragments(random_, bf16_pair);
  EXPECT_EQ(host_half(f, host::mma_bf16), by_definition_bf16(f));
  for_each_schedule(
      [&] { EXPECT_EQ(run_mma(f, verbs::launch_mma_bf16), host_half(f, host::mma_bf16)); });
}

TEST_F(VerbsTest, MmaTf32) {
  const Fragments f = integer_fragments(random_, tf32_word);
  EXPECT_EQ(host_half(f, host::mma_tf32), by_definition_tf32(f));
  for_each_schedule(
      [&] { EXPECT_EQ(run_mma(f, verbs::launch_mma_tf32), host_half(f, host::mma_tf32)); });
}

// 1 + 2^-12 has a bit that tf32 lacks: mma_tf32 drops it, to_tf32 rounds it away.
TEST_F(VerbsTest, MmaTf32DropsTheLowBits) {
  Fragments f{std::vector<std::uint32_t>(128), std::vector<std::uint32_t>(64),
              std::vector<float>(128)};
  for (auto& word : f.a) word = kernels::gpu::bit_cast<std::uint32_t>(1.0f + 0x1p-12f);
  for (auto& word : f.b) word = kernels::gpu::bit_cast<std::uint32_t>(1.0f);
  EXPECT_EQ(run_mma(f, verbs::launch_mma_tf32), std::vector<float>(128, 8.0f));
}

TEST_F(VerbsTest, Ldmatrix) {
  for (const int count : {1, 2, 4}) {
    for (const bool is_transposed : {false, true}) {
      std::vector<std::uint16_t> rows(static_cast<std::size_t>(64 * count));
      for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::uint16_t>(1000 + i);
      // Register i of lane: elements (lane / 4, 2 (lane % 4)) and its right neighbour of matrix i,
      // of the transposed matrix if asked.
      std::vector<std::uint32_t> expected;
      for (std::size_t lane = 0; lane < 32; ++lane) {
        for (std::size_t m = 0; m < static_cast<std::size_t>(count); ++m) {
          const std::size_t row = lane / 4, col = lane % 4 * 2;
          const auto at = [&](std::size_t r, std::size_t c) -> std::uint32_t {
            return rows[m * 64 + (is_transposed ? c * 8 + r : r * 8 + c)];
          };
          expected.push_back(at(row, col) | at(row, col + 1) << 16);
        }
      }
      for_each_schedule([&] {
        const DeviceArray<std::uint16_t> in(rows);
        const DeviceArray<std::uint32_t> out(expected.size());
        run_on_device([&](void* stream) {
          verbs::launch_ldmatrix({count, is_transposed, in.data(), out.data()}, stream);
        });
        EXPECT_EQ(out.read(), expected) << count << (is_transposed ? " transposed" : "");
      });
    }
  }
}

TEST_F(VerbsTest, AsyncCopyFillsWithZeros) {
  for (const int bytes : {4, 8, 16}) {
    for (const int valid : {0, 2, bytes / 2, bytes - 1, bytes}) {
      const auto size = static_cast<std::size_t>(bytes);
      std::vector<unsigned char> src(2 * 64 * size);
      for (auto& byte : src) byte = static_cast<unsigned char>(1 + random_() % 255);
      std::vector<unsigned char> expected(src.size());
      for (std::size_t chunk = 0; chunk < 128; ++chunk) {
        const std::size_t from = chunk / 64 * 64 + 63 - chunk % 64;
        for (std::size_t i = 0; i < static_cast<std::size_t>(valid); ++i) {
          expected[chunk * size + i] = src[from * size + i];
        }
      }
      for_each_schedule([&] {
        const DeviceArray<unsigned char> in(src);
        const DeviceArray<unsigned char> out(src.size());
        run_on_device([&](void* stream) {
          verbs::launch_copy({bytes, valid, in.data(), out.data()}, stream);
        });
        EXPECT_EQ(out.read(), expected) << valid << " of " << bytes << " bytes";
      });
    }
  }
}

// The butterfly's order: distances 16, 8, 4, 2, 1.
float butterfly_sum(std::vector<float> lanes) {
  for (std::size_t distance = lanes.size() / 2; distance > 0; distance /= 2) {
    std::vector<float> next = lanes;
    for (std::size_t i = 0; i < lanes.size(); ++i) next[i] = lanes[i] + lanes[i ^ distance];
    lanes = next;
  }
  return lanes[0];
}

TEST_F(VerbsTest, WarpAndBlock) {
  std::vector<float> in(96);
  std::normal_distribution<float> normal;
  for (float& x : in) x = normal(random_);
  const auto lanes = [&](std::size_t from, std::size_t count) {
    return std::vector<float>(in.begin() + static_cast<std::ptrdiff_t>(from),
                              in.begin() + static_cast<std::ptrdiff_t>(from + count));
  };
  const float of_block =
      butterfly_sum(lanes(0, 32)) + butterfly_sum(lanes(32, 32)) + butterfly_sum(lanes(64, 32));
  for_each_schedule([&] {
    const DeviceArray<float> x(in), lane5(96), xor9(96), half(96), warp(96), block(96);
    run_on_device([&](void* stream) {
      verbs::launch_warp(
          {x.data(), lane5.data(), xor9.data(), half.data(), warp.data(), block.data()}, stream);
    });
    for (std::size_t t = 0; t < 96; ++t) {
      const std::size_t first = t / 32 * 32;
      EXPECT_EQ(lane5.read()[t], in[first + 5]);
      EXPECT_EQ(xor9.read()[t], in[t ^ 9]);
      EXPECT_EQ(half.read()[t], in[t ^ 3]);
      EXPECT_EQ(warp.read()[t], butterfly_sum(lanes(first, 32)));
      EXPECT_EQ(block.read()[t], of_block);
    }
  });
}

TEST_F(VerbsTest, ConvertAndCopy) {
  std::vector<float> in = {0.0f,      -0.0f,       1.0f,
                           -1.0f,     1.00390625f, 1.01171875f,
                           3.389e38f, 1e-40f,      std::numeric_limits<float>::infinity(),
                           65504.0f,  0x1.002p0f,  0x1.006p0f};
  std::normal_distribution<float> normal;
  while (in.size() < 64) in.push_back(normal(random_));
  const DeviceArray<float> x(in), unpacked(64), copied(64);
  const DeviceArray<std::uint32_t> packed(32), tf32(64);
  run_on_device([&](void* stream) {
    verbs::launch_convert({x.data(), packed.data(), unpacked.data(), tf32.data(), copied.data()},
                          stream);
  });
  EXPECT_EQ(copied.read(), in);
  for (std::size_t i = 0; i < 64; ++i) {
    EXPECT_EQ(static_cast<std::uint16_t>(packed.read()[i / 2] >> i % 2 * 16),
              host::bf16_bits(in[i]));
    EXPECT_EQ(unpacked.read()[i], host::bf16_value(host::bf16_bits(in[i])));
    // The low 13 bits are what mma drops; nobody says what cvt leaves there.
    EXPECT_EQ(host::tf32_value(tf32.read()[i]), host::tf32_value(host::tf32_bits(in[i])));
  }
  // The definition: the nearest value with 8 (bf16) or 11 (tf32) significant bits.
  for (std::size_t i = 10; i < 64; ++i) {
    int exponent = 0;
    std::frexp(in[i], &exponent);
    const double bf16_step = std::ldexp(1.0, exponent - 8),
                 tf32_step = std::ldexp(1.0, exponent - 11);
    EXPECT_EQ(unpacked.read()[i], std::nearbyint(in[i] / bf16_step) * bf16_step);
    EXPECT_EQ(host::tf32_value(tf32.read()[i]), std::round(in[i] / tf32_step) * tf32_step);
  }
}

TEST_F(VerbsTest, NanStaysNan) {
  std::vector<float> in(64, std::numeric_limits<float>::quiet_NaN());
  const DeviceArray<float> x(in), unpacked(64), copied(64);
  const DeviceArray<std::uint32_t> packed(32), tf32(64);
  run_on_device([&](void* stream) {
    verbs::launch_convert({x.data(), packed.data(), unpacked.data(), tf32.data(), copied.data()},
                          stream);
  });
  for (std::size_t i = 0; i < 64; ++i) {
    EXPECT_TRUE(std::isnan(unpacked.read()[i]));
    EXPECT_TRUE(std::isnan(host::tf32_value(tf32.read()[i])));
  }
}

}  // namespace
}  // namespace diabolo
