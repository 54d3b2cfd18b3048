// Layer normalisation, row by row; the gradients of gain and bias in fixed chunks of rows, which
// are then added in order.
#include "kernels/layer_norm.h"

#include <cmath>

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/define.h"
#include "kernels/cpu/passes.h"

namespace diabolo::kernels::cpu {
namespace {

// Calls body(first element, length) for the blocks of a row.
template <class Body>
void for_blocks(int64_t D, const Body& body) {
  for (int64_t at = 0; at < D; at += kBlock) body(at, std::min(kBlock, D - at));
}

template <class T>
RowMoments<float> moments_of(const T* x, int64_t D, float epsilon) {
  float block[kBlock];
  LaneSum sum, squares;
  for_blocks(D, [&](int64_t at, int64_t n) {
    widen_block(x + at, block, n);
    sum.add(block, n);
  });
  const float mean = sum.total() / static_cast<float>(D);
  for_blocks(D, [&](int64_t at, int64_t n) {
    widen_block(x + at, block, n);
    for (int64_t k = 0; k < n; ++k) block[k] -= mean;
    squares.add_squares(block, n);
  });
  return {mean, 1.0f / std::sqrt(squares.total() / static_cast<float>(D) + epsilon)};
}

template <class T>
void normalize_row(const LayerNorm<T>& p, int64_t b) {
  const T* x = p.x + b * p.D;
  T* y = p.y + b * p.D;
  const auto [mean, inverse] = moments_of(x, p.D, p.epsilon);
  const float* gain = p.gain;
  const float* bias = p.bias;
  DIABOLO_IVDEP
  for (int64_t d = 0; d < p.D; ++d) {
    y[d] = narrow<T>((widen(x[d]) - mean) * inverse * gain[d] + bias[d]);
  }
}

template <class T>
Launch make(const LayerNorm<T>& p, const CpuFeatures& cpu, void*) {
  return [p, team = Team(cpu, p.B * p.D, pass_cost::kLoss)](void*) {
    for_rows(team, p.B, p.D, [&](int64_t b) { normalize_row(p, b); });
  };
}

// Rows of a part: errors grow with B / kPartRows.
constexpr int64_t kPartRows = 64;

template <class T>
uint64_t scratch_of(const LayerNormGrad<T>& p) {
  return static_cast<uint64_t>(chunk_count(p.B, kPartRows) * 2 * p.D) * sizeof(float);
}

// of_gain and of_bias [D] grow by the row's; dx becomes its own.
template <class T>
void differentiate_row(const LayerNormGrad<T>& p, int64_t b, float* of_gain, float* of_bias) {
  const T *x = p.x + b * p.D, *dy = p.dy + b * p.D;
  const RowMoments<float> row = moments_of(x, p.D, p.epsilon);
  const float* gain = p.gain;
  for (int64_t d = 0; d < p.D; ++d) {
    of_gain[d] += widen(dy[d]) * ((widen(x[d]) - row.mean) * row.inverse);
    of_bias[d] += widen(dy[d]);
  }
  if (!p.dx) return;
  LaneSum sum_g, sum_gn;
  for_blocks(p.D, [&](int64_t at, int64_t n) {
    float g[kBlock], gn[kBlock];
    for (int64_t k = 0; k < n; ++k) {
      g[k] = widen(dy[at + k]) * gain[at + k];
      gn[k] = g[k] * ((widen(x[at + k]) - row.mean) * row.inverse);
    }
    sum_g.add(g, n);
    sum_gn.add(gn, n);
  });
  const float mean_g = sum_g.total() / static_cast<float>(p.D);
  const float mean_gn = sum_gn.total() / static_cast<float>(p.D);
  T* dx = p.dx + b * p.D;
  for (int64_t d = 0; d < p.D; ++d) {
    const float n = (widen(x[d]) - row.mean) * row.inverse;
    dx[d] = narrow<T>((widen(dy[d]) * gain[d] - mean_g - n * mean_gn) * row.inverse);
  }
}

// out = the parts' columns, in order; parts lie 2 D apart.
void add_parts(const float* parts, int64_t count, int64_t D, bool accumulates, float* out) {
  for (int64_t d = 0; d < D; ++d) {
    float sum = 0;
    for (int64_t part = 0; part < count; ++part) sum += parts[part * 2 * D + d];
    out[d] = accumulates ? out[d] + sum : sum;
  }
}

template <class T>
Launch make(const LayerNormGrad<T>& p, const CpuFeatures& cpu, void* scratch) {
  return [p, team = Team(cpu, p.B * p.D, 2 * pass_cost::kLoss),
          parts = static_cast<float*>(scratch)](void*) {
    const int64_t count = chunk_count(p.B, kPartRows);
    parallel_for(team.threads, count, [&](int64_t part) {
      const Range rows = chunk_range(part, kPartRows, p.B);
      float* of_gain = parts + part * 2 * p.D;
      on_isa(team.isa, [&] {
        std::fill_n(of_gain, 2 * p.D, 0.0f);
        for (int64_t b = rows.begin; b < rows.end; ++b)
          differentiate_row(p, b, of_gain, of_gain + p.D);
      });
    });
    on_isa(team.isa, [&] {
      add_parts(parts, count, p.D, p.accumulates_gain, p.d_gain);
      add_parts(parts + p.D, count, p.D, p.accumulates_bias, p.d_bias);
    });
  };
}

}  // namespace

DIABOLO_CPU_DEFINE(LayerNorm<float>)
DIABOLO_CPU_DEFINE(LayerNorm<Bf16>)
DIABOLO_CPU_DEFINE(LayerNormGrad<float>)
DIABOLO_CPU_DEFINE(LayerNormGrad<Bf16>)

}  // namespace diabolo::kernels::cpu
