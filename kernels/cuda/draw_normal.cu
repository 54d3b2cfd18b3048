// Rows of normal draws.
//
// Computes    z = scale e; draws e are Philox numbers named by row and column, four neighbouring
//             columns share one call
// Shapes      z [B,D] f32, scale [1]; the step's random key from the step state in memory
// Work split  a grid-stride loop over quads of columns, choose_flat_blocks
// Traffic     B D sizeof(float); about 40 integer multiplications a quad
// Numerics    the same integers as the host; CUDA's logf, sincospif; one rounding
// Limits      B, D >= 1; below 2^34 columns
// Source      kernels/draw_normal.h, kernels/common/philox.h
#include "kernels/draw_normal.h"

#include "kernels/cuda/flat.cuh"

namespace diabolo::kernels::cuda {
namespace {

__global__ void __launch_bounds__(kFlatThreads)
    draw_normal_kernel(const __grid_constant__ WithVector<DrawNormal<float>> call) {
  const auto& p = call.p;
  const RandomKey key = random_key(*p.state, RandomPurpose::kDraw);
  const float scale = *p.scale;
  for_each_row_quad(p.B, p.D, [&](int64_t row, int64_t column, int count) {
    const Philox4 draw =
        draw_quad(key, static_cast<uint32_t>(row), static_cast<uint32_t>(column >> 2));
    gpu::Quad z;
    for (int i = 0; i < 4; ++i)
      z.v[i] = scale * normal_from(draw.lane[i & 2], draw.lane[(i & 2) + 1], i & 1);
    gpu::store_quad(p.z + row * p.D + column, z, count, call.is_vector && count == 4);
  });
}

}  // namespace

Launch prepare(const DrawNormal<float>& p, const Device& device, void*) {
  return row_quads(draw_normal_kernel, p, gpu::has_vector_rows(p.z, p.D), device);
}

}  // namespace diabolo::kernels::cuda
