// A batch out of raw rows: pick, convert, scale.
//
// Computes    out[b,d] = (source[row(b),d] - shift[d]) * scale[d], or the source's where there are
//             no scales; a row outside the source gives NaN
// Shapes      source [N,D] u8 or f32, order [N] u32, shift and scale [D] f32, out [B,D] f32 or bf16
// Work split  a grid-stride loop over quads of columns, choose_flat_blocks
// Traffic     B D (sizeof(source) + sizeof(T)); the scales stay in L2: memory
// Numerics    float, one rounding to T
// Limits      B, D >= 1
// Source      kernels/gather.h
#include "kernels/cuda/flat.cuh"
#include "kernels/gather.h"

namespace diabolo::kernels::cuda {
namespace {

template <class Source, class T>
struct GatherCall {
  Gather<Source, T> p;
  bool has_vector_source;
  bool has_vector_out;
  bool has_vector_scale;
};

template <class Source, class T>
__global__ void __launch_bounds__(kFlatThreads)
    gather_kernel(const __grid_constant__ GatherCall<Source, T> call) {
  const auto& p = call.p;
  for_each_row_quad(p.B, p.D, [&](int64_t b, int64_t column, int count) {
    const bool is_full = count == 4;
    const int64_t row = gather_row(p, b);
    const float nan = gpu::bit_cast<float>(0x7FC00000U);
    gpu::Quad x{{nan, nan, nan, nan}};
    if (row >= 0) {
      x = gpu::load_quad(p.source + row * p.D + column, count, call.has_vector_source && is_full);
    }
    if (p.shift) {
      const bool is_vector = call.has_vector_scale && is_full;
      const gpu::Quad shift = gpu::load_quad(p.shift + column, count, is_vector);
      const gpu::Quad scale = gpu::load_quad(p.scale + column, count, is_vector);
      for (int i = 0; i < 4; ++i) x.v[i] = (x.v[i] - shift.v[i]) * scale.v[i];
    }
    gpu::store_quad(p.out + b * p.D + column, x, count, call.has_vector_out && is_full);
  });
}

template <class Source, class T>
Launch prepare_gather(const Gather<Source, T>& p, const Device& device) {
  const GatherCall<Source, T> call{
      p, gpu::has_vector_rows(p.source, p.D), gpu::has_vector_rows(p.out, p.D),
      gpu::has_vector_rows(p.shift, 4) && gpu::has_vector_rows(p.scale, 4)};
  const int64_t blocks = choose_flat_blocks(p.B * ceil_div(p.D, 4), device);
  return [=](void* stream) { launch_flat(gather_kernel<Source, T>, blocks, stream, call); };
}

}  // namespace

Launch prepare(const Gather<uint8_t, float>& p, const Device& device, void*) {
  return prepare_gather(p, device);
}
Launch prepare(const Gather<uint8_t, Bf16>& p, const Device& device, void*) {
  return prepare_gather(p, device);
}
Launch prepare(const Gather<float, float>& p, const Device& device, void*) {
  return prepare_gather(p, device);
}
Launch prepare(const Gather<float, Bf16>& p, const Device& device, void*) {
  return prepare_gather(p, device);
}

}  // namespace diabolo::kernels::cuda
