// An activation alone.
//
// Computes    y = f(z), element by element
// Shapes      flat [n]; y may be z
// Work split  a grid-stride loop over quads of elements, choose_flat_blocks
// Traffic     both tensors once: memory
// Numerics    float, one rounding to T
// Limits      n >= 1; bases that are not aligned to a quad are taken element by element
// Source      kernels/activate.h
#include "kernels/activate.h"

#include "kernels/cuda/flat.cuh"

namespace diabolo::kernels::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(kFlatThreads)
    activate_kernel(const __grid_constant__ WithVector<Activate<T>> call) {
  const auto& p = call.p;
  with_activation(p.activation, [&](auto act) {
    for_each_flat_quad(p.n, [&](int64_t at, int count) {
      const bool is_vector = call.is_vector && count == 4;
      gpu::Quad z = gpu::load_quad(p.z + at, count, is_vector);
      for (int i = 0; i < 4; ++i) z.v[i] = act.forward(z.v[i]);
      gpu::store_quad(p.y + at, z, count, is_vector);
    });
  });
}

}  // namespace

Launch prepare(const Activate<float>& p, const Device& device, void*) {
  return flat_quads(activate_kernel<float>, p, all_aligned(p.z, p.y), device);
}
Launch prepare(const Activate<Bf16>& p, const Device& device, void*) {
  return flat_quads(activate_kernel<Bf16>, p, all_aligned(p.z, p.y), device);
}

}  // namespace diabolo::kernels::cuda
