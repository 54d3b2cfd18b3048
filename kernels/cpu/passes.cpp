#include "kernels/cpu/passes.h"

#include <algorithm>
#include <type_traits>

#include "kernels/cpu/parallel.h"

namespace diabolo::kernels::cpu {
namespace {

// Calls body(offset, length) for the blocks of every chunk of [0, n).
template <class Body>
void for_blocks(const Team& team, int64_t n, const Body& body) {
  parallel_for(team.threads, chunk_count(n, kChunk), [&](int64_t chunk) {
    const Range range = chunk_range(chunk, kChunk, n);
    on_isa(team.isa, [&] {
      for (int64_t at = range.begin; at < range.end; at += kBlock) {
        body(at, std::min(kBlock, range.end - at));
      }
    });
  });
}

}  // namespace

template <class Z, class T>
void activate(const Team& team, ForwardBlock forward, const Z* z, T* y, T* z_out, int64_t n) {
  for_blocks(team, n, [=](int64_t at, int64_t length) {
    if constexpr (std::is_same_v<T, float>) {
      if (z_out) widen_block(z + at, z_out + at, length);
      forward(z + at, y + at, length);
    } else {
      float block[kBlock];
      widen_block(z + at, block, length);
      if (z_out) narrow_block(block, z_out + at, length);
      forward(block, block, length);
      narrow_block(block, y + at, length);
    }
  });
}

// On the bits: as integers, negative numbers and -0 are at most those of -infinity, 0xff80, and the
// NaNs with a sign are above.
void relu(const Team& team, const Bf16* z, Bf16* y, int64_t n) {
  constexpr int16_t kMinusInfinity = -128;
  for_blocks(team, n, [=](int64_t at, int64_t length) {
    DIABOLO_IVDEP
    for (int64_t k = at; k < at + length; ++k) {
      const uint16_t bits = z[k].bits;
      y[k].bits = static_cast<int16_t>(bits) <= kMinusInfinity ? uint16_t{0} : bits;
    }
  });
}

template <class D, class T>
void apply_slope(const Team& team, SlopeBlock slope, const D* d, const T* saved, T* out,
                 int64_t n) {
  for_blocks(team, n, [=](int64_t at, int64_t length) {
    if constexpr (std::is_same_v<T, float>) {
      if (out != d) widen_block(d + at, out + at, length);
      slope(saved + at, out + at, length);
    } else {
      float block[kBlock], saved_block[kBlock];
      widen_block(d + at, block, length);
      widen_block(saved + at, saved_block, length);
      slope(saved_block, block, length);
      narrow_block(block, out + at, length);
    }
  });
}

template <class Z, class T>
void loss_pass(const Team& team, LossBlock loss, float scale, const Z* z, const T* target, T* dz,
               float* partials, int64_t n) {
  parallel_for(team.threads, chunk_count(n, kChunk), [&](int64_t chunk) {
    const Range range = chunk_range(chunk, kChunk, n);
    on_isa(team.isa, [&] {
      LaneSum sum;
      for (int64_t at = range.begin; at < range.end; at += kBlock) {
        const int64_t length = std::min(kBlock, range.end - at);
        float d_z[kBlock], t[kBlock], value[kBlock];
        widen_block(z + at, d_z, length);
        widen_block(target + at, t, length);
        loss(d_z, t, value, d_z, length);
        sum.add(value, length);
        if (!dz) continue;
        for (int64_t k = 0; k < length; ++k) d_z[k] *= scale;
        narrow_block(d_z, dz + at, length);
      }
      partials[chunk] = sum.total();
    });
  });
}

template void activate(const Team&, ForwardBlock, const float*, float*, float*, int64_t);
template void activate(const Team&, ForwardBlock, const float*, Bf16*, Bf16*, int64_t);
template void activate(const Team&, ForwardBlock, const Bf16*, Bf16*, Bf16*, int64_t);
template void apply_slope(const Team&, SlopeBlock, const float*, const float*, float*, int64_t);
template void apply_slope(const Team&, SlopeBlock, const float*, const Bf16*, Bf16*, int64_t);
template void apply_slope(const Team&, SlopeBlock, const Bf16*, const Bf16*, Bf16*, int64_t);
template void loss_pass(const Team&, LossBlock, float, const float*, const float*, float*, float*,
                        int64_t);
template void loss_pass(const Team&, LossBlock, float, const float*, const Bf16*, Bf16*, float*,
                        int64_t);
template void loss_pass(const Team&, LossBlock, float, const Bf16*, const Bf16*, Bf16*, float*,
                        int64_t);

}  // namespace diabolo::kernels::cpu
