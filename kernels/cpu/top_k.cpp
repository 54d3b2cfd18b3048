// The k largest numbers of a row, by counting the bytes of their keys from the first to the last,
// and the gradient.
#include "kernels/top_k.h"

#include "kernels/cpu/define.h"
#include "kernels/cpu/passes.h"

namespace diabolo::kernels::cpu {
namespace {

constexpr double kSelect = 6;  // nanoseconds a number, a guess, for want of a measurement

// The key of the k-th of a row and how many with that key are among the k.
struct Threshold {
  uint32_t key = 0;
  int64_t equal = 0;
};

template <class T>
Threshold threshold_of(const T* x, int64_t D, int64_t k) {
  uint64_t known = 0;  // the key's upper bytes
  for (int shift = 24; shift >= 0; shift -= 8) {
    int64_t count[256] = {};
    for (int64_t d = 0; d < D; ++d) {
      const uint64_t key = key_of(widen(x[d]));
      if (key >> (shift + 8) == known >> (shift + 8)) ++count[(key >> shift) & 255];
    }
    uint64_t byte = 255;
    for (; count[byte] < k; --byte) k -= count[byte];
    known |= byte << shift;
  }
  return {static_cast<uint32_t>(known), k};
}

template <class T>
void select_row(const TopK<T>& p, int64_t b) {
  const T* x = p.x + b * p.D;
  T* y = p.y + b * p.D;
  const auto [key, equal] = threshold_of(x, p.D, p.k);
  int64_t last = 0;
  for (int64_t found = 0;; ++last)
    if (key_of(widen(x[last])) == key && ++found == equal) break;
  p.last[b] = static_cast<uint32_t>(last);
  const T zero = narrow<T>(0.0f);
  for (int64_t d = 0; d < p.D; ++d) {
    const uint32_t here = key_of(widen(x[d]));
    y[d] = here > key || (here == key && d <= last) ? x[d] : zero;
  }
}

template <class T>
void differentiate_row(const TopKGrad<T>& p, int64_t b) {
  const T *x = p.x + b * p.D, *dy = p.dy + b * p.D;
  T* dx = p.dx + b * p.D;
  const int64_t last = p.last[b];
  const uint32_t key = key_of(widen(x[last]));
  const T zero = narrow<T>(0.0f);
  for (int64_t d = 0; d < p.D; ++d) {
    const uint32_t here = key_of(widen(x[d]));
    dx[d] = here > key || (here == key && d <= last) ? dy[d] : zero;
  }
}

template <class T>
Launch make(const TopK<T>& p, const CpuFeatures& cpu, void*) {
  return [p, team = Team(cpu, p.B * p.D, kSelect)](void*) {
    for_rows(team, p.B, p.D, [&](int64_t b) { select_row(p, b); });
  };
}

template <class T>
Launch make(const TopKGrad<T>& p, const CpuFeatures& cpu, void*) {
  return [p, team = Team(cpu, p.B * p.D, pass_cost::kCurve)](void*) {
    for_rows(team, p.B, p.D, [&](int64_t b) { differentiate_row(p, b); });
  };
}

}  // namespace

DIABOLO_CPU_DEFINE(TopK<float>)
DIABOLO_CPU_DEFINE(TopK<Bf16>)
DIABOLO_CPU_DEFINE(TopKGrad<float>)
DIABOLO_CPU_DEFINE(TopKGrad<Bf16>)

}  // namespace diabolo::kernels::cpu
