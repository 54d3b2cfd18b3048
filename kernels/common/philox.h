// Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror, Shaw, "Parallel Random
// Numbers: As Easy as 1, 2, 3" (SC 2011): no state, the same integers on every device.
//
// A draw is named by (seed, purpose, step, row of the whole step's batch, element), so results do
// not depend on how a batch is split, on threads, or on a restart.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/common/hd.h"
#include "kernels/common/math.h"

namespace diabolo::kernels {

struct Philox4 {
  uint32_t lane[4];
};

DIABOLO_HD inline Philox4 philox4x32(Philox4 counter, uint64_t key) {
  uint32_t k0 = static_cast<uint32_t>(key);
  uint32_t k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = 0xD2511F53ull * counter.lane[0];
    const uint64_t b = 0xCD9E8D57ull * counter.lane[2];
    counter = {{static_cast<uint32_t>(b >> 32) ^ counter.lane[1] ^ k0, static_cast<uint32_t>(b),
                static_cast<uint32_t>(a >> 32) ^ counter.lane[3] ^ k1, static_cast<uint32_t>(a)}};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return counter;
}

// What a stream of random numbers is for. Streams of different purposes are independent.
struct RandomPurpose {
  static constexpr uint32_t kInit = 1u << 16;  // + index of the parameter
  static constexpr uint32_t kShuffle = 2u << 16;
  static constexpr uint32_t kCorruption = 3u << 16;
  static constexpr uint32_t kDropout = 4u << 16;         // + index of the layer
  static constexpr uint32_t kReparameterise = 5u << 16;  // + index of the layer
  static constexpr uint32_t kDraw = 6u << 16;            // codes out of nothing
};

struct RandomKey {
  uint64_t seed;
  uint32_t purpose;
  uint32_t step;           // modulo 2^32
  uint32_t first_row = 0;  // number of row 0 among all rows that draw by this key, modulo 2^32
};

// The four draws that elements 4 * quad … 4 * quad + 3 of a row share.
DIABOLO_HD inline Philox4 draw_quad(const RandomKey& key, uint32_t row, uint32_t quad) {
  return philox4x32({{quad, key.first_row + row, key.step, key.purpose}}, key.seed);
}

// Uniform in [0, 1), 24 bits.
DIABOLO_HD inline float uniform_from(uint32_t bits) {
  return static_cast<float>(bits >> 8) * 5.9604644775390625e-8f;
}

// Two independent standard normals from a pair of draws, by Box and Muller; on the host, where
// loops over it vectorise.
struct NormalPair {
  float lane[2];
};
inline NormalPair normals_from(uint32_t bits_radius, uint32_t bits_angle) {
  const float u = (static_cast<float>(bits_radius >> 8) + 0.5f) * 5.9604644775390625e-8f;
  const float radius = std::sqrt(-2.0f * log_of_share(u));
  const SinCos angle = sin_cos_of_turns(uniform_from(bits_angle));
  return {{radius * angle.cos, radius * angle.sin}};
}

// One of the two.
DIABOLO_HD inline float normal_from(uint32_t bits_radius, uint32_t bits_angle, int lane) {
#ifdef __CUDA_ARCH__
  const float u = (static_cast<float>(bits_radius >> 8) + 0.5f) * 5.9604644775390625e-8f;
  const float radius = std::sqrt(-2.0f * std::log(u));
  // cosf and sinf would bring a reduction for huge arguments, and a stack frame for it.
  const float turns = 2.0f * uniform_from(bits_angle);
  return radius * (lane == 0 ? cospif(turns) : sinpif(turns));
#else
  const NormalPair pair = normals_from(bits_radius, bits_angle);
  return lane == 0 ? pair.lane[0] : pair.lane[1];
#endif
}

DIABOLO_HD inline float uniform_at(const RandomKey& key, uint32_t row, uint64_t element) {
  const Philox4 quad = draw_quad(key, row, static_cast<uint32_t>(element >> 2));
  return uniform_from(quad.lane[element & 3]);
}

DIABOLO_HD inline float normal_at(const RandomKey& key, uint32_t row, uint64_t element) {
  const Philox4 quad = draw_quad(key, row, static_cast<uint32_t>(element >> 2));
  const int pair = static_cast<int>(element & 2);
  return normal_from(quad.lane[pair], quad.lane[pair + 1], static_cast<int>(element & 1));
}

}  // namespace diabolo::kernels
