// Four neighbouring elements of a row as floats: how epilogues and element-wise kernels read and
// write tensors of either type.
#pragma once

#include "kernels/common/scalar.h"
#include "kernels/cuda/device/convert.cuh"

namespace diabolo::kernels::gpu {

struct Quad {
  float v[4];
};

// Bytes of four elements.
template <class T>
inline constexpr int kQuadBytes = 4 * static_cast<int>(sizeof(T));

// Reads `count` (1 ... 4) elements at p, the rest are 0. `is_vector`: p is a multiple of the quad's
// size and count is 4.
GPU_VERB Quad load_quad(const float* p, int count, bool is_vector) {
  if (is_vector) return bit_cast<Quad>(load<16>(p));
  Quad q{};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (i < count) q.v[i] = p[i];
  }
  return q;
}

GPU_VERB Quad load_quad(const Bf16* p, int count, bool is_vector) {
  if (is_vector) {
    const auto bits = load<8>(p);
    return {{low_bf16(bits.word[0]), high_bf16(bits.word[0]), low_bf16(bits.word[1]),
             high_bf16(bits.word[1])}};
  }
  Quad q{};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (i < count) q.v[i] = to_float(p[i]);
  }
  return q;
}

GPU_VERB Quad load_quad(const std::uint8_t* p, int count, bool is_vector) {
  Quad q{};
  if (is_vector) {
    const std::uint32_t bytes = load<4>(p).word[0];
#pragma unroll
    for (int i = 0; i < 4; ++i) q.v[i] = static_cast<float>(bytes >> 8 * i & 0xFFU);
    return q;
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (i < count) q.v[i] = static_cast<float>(p[i]);
  }
  return q;
}

GPU_VERB void store_quad(float* p, const Quad& q, int count, bool is_vector) {
  if (is_vector) {
    store_global(p, bit_cast<Bits<16>>(q));
    return;
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (i < count) p[i] = q.v[i];
  }
}

GPU_VERB void store_quad(Bf16* p, const Quad& q, int count, bool is_vector) {
  const std::uint32_t low = pack_bf16(q.v[0], q.v[1]);
  const std::uint32_t high = pack_bf16(q.v[2], q.v[3]);
  if (is_vector) {
    store<8>(p, Bits<8>{{low, high}});
    return;
  }
  const std::uint32_t words[2] = {low, high};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (i < count) p[i].bits = static_cast<std::uint16_t>(words[i / 2] >> 16 * (i % 2));
  }
}

// True where every quad of every row of `row_elems` elements at `data` can be one access; a null
// pointer is in nobody's way. Host code.
template <class T>
bool has_vector_rows(const T* data, std::int64_t row_elems) {
  return row_elems % 4 == 0 && reinterpret_cast<std::uintptr_t>(data) % kQuadBytes<T> == 0;
}

}  // namespace diabolo::kernels::gpu
