// Rows of normal draws.
#include "kernels/draw_normal.h"

#include "kernels/cpu/define.h"
#include "kernels/cpu/draws.h"

namespace diabolo::kernels::cpu {
namespace {

Launch make(const DrawNormal<float>& p, const CpuFeatures& cpu, void*) {
  return [p, team = Team(cpu, p.B * p.D, pass_cost::kDraw)](void*) {
    const RandomKey key = random_key(*p.state, RandomPurpose::kDraw);
    const float scale = *p.scale;
    for_row_blocks(team, p.B, p.D, [&](int64_t b, int64_t d, int64_t n) {
      float normal[kBlock];
      normal_block(key, static_cast<uint32_t>(b), d, n, normal);
      float* z = p.z + b * p.D + d;
      for (int64_t k = 0; k < n; ++k) z[k] = scale * normal[k];
    });
  };
}

}  // namespace

DIABOLO_CPU_DEFINE(DrawNormal<float>)

}  // namespace diabolo::kernels::cpu
