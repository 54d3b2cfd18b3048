// Dropout and corruption. Draws are made for a block of a row at a time, so that the ten rounds of
// Philox run over vectors of counters.
#include <algorithm>

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/define.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/passes.h"
#include "kernels/noise.h"

namespace diabolo::kernels::cpu {
namespace {

// bits[k] = the draw of element first + k of `row`; `first` is a multiple of 4, and bits has room
// for n rounded up to 4.
void draw_block(const RandomKey& key, uint32_t row, int64_t first, int64_t n, uint32_t* bits) {
  const auto first_quad = static_cast<uint32_t>(first / 4);
  const int64_t quads = (n + 3) / 4;
  for (int64_t q = 0; q < quads; ++q) {
    const Philox4 draws = draw_quad(key, row, first_quad + static_cast<uint32_t>(q));
    for (int64_t j = 0; j < 4; ++j) bits[4 * q + j] = draws.lane[j];
  }
}

// Calls body(row, first element, length) for blocks that cover [B,D], spread over the team.
template <class Body>
void for_row_blocks(const Team& team, int64_t B, int64_t D, const Body& body) {
  for_rows(team, B, D, [&](int64_t b) {
    for (int64_t d = 0; d < D; d += kBlock) body(b, d, std::min(kBlock, D - d));
  });
}

template <class T>
void drop_block(const Dropout<T>& p, const RandomKey& key, int64_t b, int64_t d, int64_t n) {
  uint32_t bits[kBlock];
  draw_block(key, static_cast<uint32_t>(b), d, n, bits);
  const float rate = p.rate;
  const float scale = 1.0f / (1.0f - rate);
  const T* x = p.x + b * p.D + d;
  T* y = p.y + b * p.D + d;
  DIABOLO_IVDEP
  for (int64_t k = 0; k < n; ++k) {
    const float kept = widen(x[k]) * scale;
    y[k] = narrow<T>(uniform_from(bits[k]) >= rate ? kept : 0.0f);
  }
}

template <class T>
void mask_block(const Corrupt<T>& p, const RandomKey& key, int64_t b, int64_t d, int64_t n) {
  uint32_t bits[kBlock];
  draw_block(key, static_cast<uint32_t>(b), d, n, bits);
  const float amount = p.amount;
  const T* x = p.x + b * p.D + d;
  T* y = p.y + b * p.D + d;
  DIABOLO_IVDEP
  for (int64_t k = 0; k < n; ++k) {
    y[k] = narrow<T>(uniform_from(bits[k]) < amount ? 0.0f : widen(x[k]));
  }
}

template <class T>
void gaussian_block(const Corrupt<T>& p, const RandomKey& key, int64_t b, int64_t d, int64_t n) {
  uint32_t bits[kBlock];
  draw_block(key, static_cast<uint32_t>(b), d, n, bits);
  float normal[kBlock];
  const int64_t pairs = (n + 1) / 2;
  for (int64_t k = 0; k < pairs; ++k) {
    const NormalPair pair = normals_from(bits[2 * k], bits[2 * k + 1]);
    normal[2 * k] = pair.lane[0];
    normal[2 * k + 1] = pair.lane[1];
  }
  const float amount = p.amount, low = p.low, high = p.high;
  const T* x = p.x + b * p.D + d;
  T* y = p.y + b * p.D + d;
  DIABOLO_IVDEP
  for (int64_t k = 0; k < n; ++k) {
    float value = widen(x[k]) + amount * normal[k];
    value = value < low ? low : value;
    y[k] = narrow<T>(value > high ? high : value);
  }
}

template <class T>
Launch make(const Dropout<T>& p, const CpuFeatures& cpu, void*) {
  return [p, team = Team(cpu, p.B * p.D, pass_cost::kDraw)](void*) {
    const RandomKey key = random_key(*p.state, p.purpose);
    for_row_blocks(team, p.B, p.D,
                   [&](int64_t b, int64_t d, int64_t n) { drop_block(p, key, b, d, n); });
  };
}

template <class T>
Launch make(const Corrupt<T>& p, const CpuFeatures& cpu, void*) {
  return [p, team = Team(cpu, p.B * p.D, pass_cost::kDraw)](void*) {
    const RandomKey key = random_key(*p.state, p.purpose);
    if (p.kind == Corruption::kMasking) {
      for_row_blocks(team, p.B, p.D,
                     [&](int64_t b, int64_t d, int64_t n) { mask_block(p, key, b, d, n); });
    } else {
      for_row_blocks(team, p.B, p.D,
                     [&](int64_t b, int64_t d, int64_t n) { gaussian_block(p, key, b, d, n); });
    }
  };
}

}  // namespace

DIABOLO_CPU_DEFINE(Dropout<float>)
DIABOLO_CPU_DEFINE(Dropout<Bf16>)
DIABOLO_CPU_DEFINE(Corrupt<float>)
DIABOLO_CPU_DEFINE(Corrupt<Bf16>)

}  // namespace diabolo::kernels::cpu
