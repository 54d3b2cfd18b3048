// Random draws of a block of a row at a time, so that the ten rounds of Philox, and what makes
// normals of them, run over vectors.
#pragma once

#include <algorithm>

#include "kernels/common/philox.h"
#include "kernels/cpu/blocks.h"
#include "kernels/cpu/passes.h"

namespace diabolo::kernels::cpu {

// bits[k] = the draw of element first + k of `row`; `first` is a multiple of 4, and bits has room
// for n rounded up to 4.
inline void draw_block(const RandomKey& key, uint32_t row, int64_t first, int64_t n,
                       uint32_t* bits) {
  const auto first_quad = static_cast<uint32_t>(first / 4);
  const int64_t quads = (n + 3) / 4;
  for (int64_t q = 0; q < quads; ++q) {
    const Philox4 draws = draw_quad(key, row, first_quad + static_cast<uint32_t>(q));
    for (int64_t j = 0; j < 4; ++j) bits[4 * q + j] = draws.lane[j];
  }
}

// normal[k] = the standard normal of element first + k; n is at most kBlock, and normal has room
// for n rounded up to 2.
inline void normal_block(const RandomKey& key, uint32_t row, int64_t first, int64_t n,
                         float* normal) {
  uint32_t bits[kBlock];
  draw_block(key, row, first, n, bits);
  const int64_t pairs = (n + 1) / 2;
  for (int64_t k = 0; k < pairs; ++k) {
    const NormalPair pair = normals_from(bits[2 * k], bits[2 * k + 1]);
    normal[2 * k] = pair.lane[0];
    normal[2 * k + 1] = pair.lane[1];
  }
}

// Calls body(row, first element, length) for blocks that cover [B,D], spread over the team.
template <class Body>
void for_row_blocks(const Team& team, int64_t B, int64_t D, const Body& body) {
  for_rows(team, B, D, [&](int64_t b) {
    for (int64_t d = 0; d < D; d += kBlock) body(b, d, std::min(kBlock, D - d));
  });
}

}  // namespace diabolo::kernels::cpu
