// State of the model takes its next value.
//
// Computes    what kernels/update_state.h says; nothing at all in a void step
// Shapes      next, value [n] f32; loss and norm [1]
// Work split  a grid-stride loop over quads, choose_flat_blocks
// Traffic     4 n bytes in, 4 n out: memory
// Numerics    a copy
// Limits      n >= 1
// Source      kernels/update_state.h
#include "kernels/update_state.h"

#include "kernels/cuda/flat.cuh"

namespace diabolo::kernels::cuda {
namespace {

__global__ void __launch_bounds__(kFlatThreads)
    update_state_kernel(const __grid_constant__ WithVector<UpdateState<float>> call) {
  const auto& p = call.p;
  if (step_is_void(*p.state, p.loss, p.norm)) return;
  for_each_flat_quad(p.n, [&](int64_t at, int count) {
    const bool is_vector = call.is_vector && count == 4;
    gpu::store_quad(p.value + at, gpu::load_quad(p.next + at, count, is_vector), count, is_vector);
  });
}

}  // namespace

Launch prepare(const UpdateState<float>& p, const Device& device, void*) {
  return flat_quads(update_state_kernel, p, all_aligned(p.next, p.value), device);
}

}  // namespace diabolo::kernels::cuda
