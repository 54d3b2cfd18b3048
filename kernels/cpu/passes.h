// Elementwise passes over whole tensors, in chunks spread over the team: what a product leaves to
// do. On floats they work in place; bf16 passes through float blocks on the stack.
#pragma once

#include "kernels/common/scalar.h"
#include "kernels/cpu/blocks.h"
#include "kernels/cpu/features.h"
#include "kernels/cpu/parallel.h"

namespace diabolo::kernels::cpu {

// Nanoseconds that one core takes for an element, roughly (AVX-512, 3 GHz): what decides whether a
// second thread is worth waking.
namespace pass_cost {
inline constexpr double kCopy = 0.2;   // a sum, a product, a conversion
inline constexpr double kCurve = 0.4;  // an activation or its derivative
inline constexpr double kLoss = 0.6;   // or a score
inline constexpr double kUpdate = 0.8;
inline constexpr double kDraw = 1.5;
}  // namespace pass_cost

// How a pass over `elems` elements runs: fixed by prepare.
struct Team {
  Team(const CpuFeatures& cpu, int64_t elems, double cost)
      : isa(isa_of(cpu)), threads(threads_for(cpu.threads, static_cast<double>(elems) * cost)) {}
  Isa isa;
  int threads;
};

// Calls body(row) for the rows of a [B,D] tensor, in chunks of about kChunk elements that depend on
// D alone.
template <class Body>
void for_rows(const Team& team, int64_t B, int64_t D, const Body& body) {
  const int64_t rows = std::max<int64_t>(1, kChunk / std::max<int64_t>(1, D));
  parallel_for(team.threads, chunk_count(B, rows), [&](int64_t chunk) {
    const Range range = chunk_range(chunk, rows, B);
    on_isa(team.isa, [&] {
      for (int64_t b = range.begin; b < range.end; ++b) body(b);
    });
  });
}

// y = f(z), and z rounded to T where `z_out` is not null; all [n]. y may be z. Z is float or T.
template <class Z, class T>
void activate(const Team& team, ForwardBlock forward, const Z* z, T* y, T* z_out, int64_t n);

// y = max(z, 0), and a NaN stays one; all [n]; y may be z.
void relu(const Team& team, const Bf16* z, Bf16* y, int64_t n);

// out = d * f'(saved); all [n]; out may be d. D is float or T.
template <class D, class T>
void apply_slope(const Team& team, SlopeBlock slope, const D* d, const T* saved, T* out, int64_t n);

// dz = scale * dl/dz where dz is not null; partials[chunk] = the sum of l over chunk's elements,
// unscaled; chunk_count(n, kChunk) partials. dz may be z. Z is float or T.
template <class Z, class T>
void loss_pass(const Team& team, LossBlock loss, float scale, const Z* z, const T* target, T* dz,
               float* partials, int64_t n);

}  // namespace diabolo::kernels::cpu
