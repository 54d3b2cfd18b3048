// The update of all parameters at once, and the advance of the step state: in two launches, or in
// one, of which the last block to come advances it.
//
// Computes    what kernels/optimizer.h says; no update in a void step
// Shapes      master, grad, m, v [n] f32, low [n] bf16 or none; loss and norm [1]
// Work split  a grid-stride loop over quads, choose_flat_blocks; advance: one thread
// Traffic     Adam: 16 n bytes in, 12 n out, 2 n more with a bf16 copy: memory. Of a gradient in
//             parts 4 more for each further part
// Numerics    float, in the order of update_element
// Limits      n >= 1
// Source      kernels/optimizer.h
#include "kernels/optimizer.h"

#include <algorithm>
#include <stdexcept>

#include "kernels/cuda/device/arrive.cuh"
#include "kernels/cuda/flat.cuh"

namespace diabolo::kernels::cuda {
namespace {

// A sum of the gradient that stands in parts: of elements from `begin` on.
struct GradPart {
  int64_t begin, elems, count;
  const float* parts;
  bool is_vector;
};

struct OptimizerCall {
  OptimizerStep<float> p;
  bool is_vector;
  Advance advance;  // where its arrivals are not null
  int part_count;
  GradPart parts[kMaxGradParts];  // ascending
};

// The sum of the parts from element `at` of it on, in their order.
GPU_VERB gpu::Quad sum_of_parts(const GradPart& part, int64_t at) {
  const int64_t left = part.elems - at;
  const int count = left < 4 ? static_cast<int>(left) : 4;
  const bool is_vector = part.is_vector && count == 4;
  gpu::Quad sum{};
#pragma unroll 4
  for (int64_t k = 0; k < part.count; ++k) {
    const gpu::Quad here = gpu::load_quad(part.parts + k * part.elems + at, count, is_vector);
    for (int i = 0; i < 4; ++i) sum.v[i] += here.v[i];
  }
  return sum;
}

// A thread's gradients, its places ascending.
struct GradReader {
  GPU_VERB gpu::Quad operator()(int64_t at, int count, bool is_vector) {
    while (next < call.part_count && at >= call.parts[next].begin + call.parts[next].elems) ++next;
    if (next == call.part_count || at < call.parts[next].begin)
      return gpu::load_quad(call.p.grad + at, count, is_vector);
    return sum_of_parts(call.parts[next], at - call.parts[next].begin);
  }

  const OptimizerCall& call;
  int next = 0;
};

GPU_VERB void update_all(const OptimizerCall& call) {
  const auto& p = call.p;
  const StepScalars scalars = p.state->scalars;
  const float scale = clip_scale(p.rule, p.norm);
  GradReader grads{call};
  for_each_flat_quad(p.n, [&](int64_t at, int count) {
    const bool is_vector = call.is_vector && count == 4;
    const gpu::Quad grad = grads(at, count, is_vector);
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

__global__ void __launch_bounds__(kFlatThreads)
    optimizer_kernel(const __grid_constant__ OptimizerCall call) {
  const auto& p = call.p;
  if (!step_is_void(*p.state, p.loss, p.norm)) update_all(call);
  if (call.advance.arrivals == nullptr) return;
  GPU_SHARED(std::uint32_t, told, 1);
  // All blocks have read the state: the last may move it on.
  if (gpu::comes_last(call.advance.arrivals, gridDim.x, told) && threadIdx.x == 0)
    advance_state(call.advance);
}

__global__ void advance_kernel(const __grid_constant__ Advance p) {
  if (threadIdx.x == 0) advance_state(p);
}

// That each lies at a quad of the blob, within it, behind the one before: a quad is read either
// from the blob or from one sum's parts.
void expect_apart(const OptimizerCall& call) {
  int64_t end = 0;
  for (int k = 0; k < call.part_count; ++k) {
    const GradPart& part = call.parts[k];
    if (part.begin % 4 != 0 || part.begin < end || part.elems < 1 || part.count < 1 ||
        part.elems > call.p.n - part.begin)
      throw std::logic_error("optimizer: a sum in parts has no quads of its own");
    end = ceil_div(part.begin + part.elems, 4) * 4;
  }
}

OptimizerCall optimizer_call(const OptimizerStep<float>& p) {
  const bool is_vector = gpu::has_vector_rows(p.grad, 4) && gpu::has_vector_rows(p.master, 4) &&
                         gpu::has_vector_rows(p.m, 4) && gpu::has_vector_rows(p.v, 4) &&
                         gpu::has_vector_rows(p.low, 4);
  if (p.grad_parts.size() > kMaxGradParts)
    throw std::logic_error("optimizer: more sums in parts than it takes");
  OptimizerCall call{p, is_vector, {}, static_cast<int>(p.grad_parts.size()), {}};
  call.p.grad_parts = {};
  std::transform(p.grad_parts.begin(), p.grad_parts.end(), call.parts, [&](const Parts& part) {
    return GradPart{part.sum - p.grad, part.elems, part.count, part.parts,
                    gpu::has_vector_rows(part.parts, part.elems)};
  });
  std::sort(call.parts, call.parts + call.part_count,
            [](const GradPart& a, const GradPart& b) { return a.begin < b.begin; });
  expect_apart(call);
  return call;
}

Launch launch_of(const OptimizerCall& call, const Device& device) {
  const int64_t blocks = choose_flat_blocks(ceil_div(call.p.n, 4), device);
  return [=](void* stream) { launch_flat(optimizer_kernel, blocks, stream, call); };
}

}  // namespace

Launch prepare(const OptimizerStep<float>& p, const Device& device, void*) {
  return launch_of(optimizer_call(p), device);
}

Launch prepare_joined(const OptimizerStep<float>& update, const Advance& advance,
                      const Device& device, void*) {
  if (advance.arrivals == nullptr) throw std::logic_error("optimizer: no arrivals");
  OptimizerCall call = optimizer_call(update);
  call.advance = advance;
  return launch_of(call, device);
}

Launch prepare(const Advance& p, const Device&, void*) {
  return [=](void* stream) { gpu::launch(advance_kernel, {1}, {32}, 0, stream, p); };
}

}  // namespace diabolo::kernels::cuda
