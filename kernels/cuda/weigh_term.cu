// What a term adds to the loss.
//
// Computes    contribution = weight * raw, and the weight, constant or of this step
// Shapes      raw, contribution, weight [1] f32; weights [kStepSlots, count] f32
// Work split  one thread
// Traffic     20 bytes: the launch
// Numerics    one product; 0 where the weight is 0, whatever the raw value
// Limits      none
// Source      kernels/weigh_term.h
#include "kernels/weigh_term.h"

#include "kernels/cuda/device/launch.cuh"

namespace diabolo::kernels::cuda {
namespace {

__global__ void weigh_term_kernel(const __grid_constant__ WeighTerm<float> p) {
  if (threadIdx.x == 0) weigh_term(p);
}

}  // namespace

Launch prepare(const WeighTerm<float>& p, const Device&, void*) {
  return [=](void* stream) { gpu::launch(weigh_term_kernel, {1}, {32}, 0, stream, p); };
}

}  // namespace diabolo::kernels::cuda
