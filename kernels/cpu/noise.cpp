// Dropout and corruption.
#include "kernels/noise.h"

#include "kernels/cpu/define.h"
#include "kernels/cpu/draws.h"

namespace diabolo::kernels::cpu {
namespace {

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
  float normal[kBlock];
  normal_block(key, static_cast<uint32_t>(b), d, n, normal);
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
