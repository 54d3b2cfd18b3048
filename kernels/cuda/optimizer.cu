// The update of all parameters at once, and the advance of the step state.
//
// Computes    what kernels/optimizer.h says; nothing at all in a void step
// Shapes      master, grad, m, v [n] f32, low [n] bf16 or none; loss and norm [1]
// Work split  a grid-stride loop over quads, choose_flat_blocks; advance: one thread
// Traffic     Adam: 16 n bytes in, 12 n out, 2 n more with a bf16 copy: memory
// Numerics    float, in the order of update_element
// Limits      n >= 1
// Source      kernels/optimizer.h
#include "kernels/cuda/flat.cuh"
#include "kernels/optimizer.h"

namespace diabolo::kernels::cuda {
namespace {

struct OptimizerCall {
  OptimizerStep<float> p;
  bool is_vector;
};

__global__ void __launch_bounds__(kFlatThreads)
    optimizer_kernel(const __grid_constant__ OptimizerCall call) {
  const auto& p = call.p;
  if (step_is_void(*p.state, p.loss, p.norm)) return;
  const StepScalars scalars = p.state->scalars;
  const float scale = clip_scale(p.rule, p.norm);
  for_each_flat_quad(p.n, [&](int64_t at, int count) {
    const bool is_vector = call.is_vector && count == 4;
    const gpu::Quad grad = gpu::load_quad(p.grad + at, count, is_vector);
    gpu::Quad w = gpu::load_quad(p.master + at, count, is_vector);
    gpu::Quad m{};
    gpu::Quad v{};
    if (p.m) m = gpu::load_quad(p.m + at, count, is_vector);
    if (p.v) v = gpu::load_quad(p.v + at, count, is_vector);
    for (int i = 0; i < 4; ++i) {
      const auto now =
          update_element<float>(p.rule, scalars, grad.v[i] * scale, w.v[i], m.v[i], v.v[i]);
      w.v[i] = now.master;
      m.v[i] = now.m;
      v.v[i] = now.v;
    }
    gpu::store_quad(p.master + at, w, count, is_vector);
    if (p.m) gpu::store_quad(p.m + at, m, count, is_vector);
    if (p.v) gpu::store_quad(p.v + at, v, count, is_vector);
    if (p.low) gpu::store_quad(p.low + at, w, count, is_vector);
  });
}

__global__ void advance_kernel(const __grid_constant__ Advance p) {
  if (threadIdx.x == 0) advance_state(p);
}

}  // namespace

Launch prepare(const OptimizerStep<float>& p, const Device& device, void*) {
  const bool is_vector = gpu::has_vector_rows(p.grad, 4) && gpu::has_vector_rows(p.master, 4) &&
                         gpu::has_vector_rows(p.m, 4) && gpu::has_vector_rows(p.v, 4) &&
                         gpu::has_vector_rows(p.low, 4);
  const OptimizerCall call{p, is_vector};
  const int64_t blocks = choose_flat_blocks(ceil_div(p.n, 4), device);
  return [=](void* stream) { launch_flat(optimizer_kernel, blocks, stream, call); };
}

Launch prepare(const Advance& p, const Device&, void*) {
  return [=](void* stream) { gpu::launch(advance_kernel, {1}, {32}, 0, stream, p); };
}

}  // namespace diabolo::kernels::cuda
