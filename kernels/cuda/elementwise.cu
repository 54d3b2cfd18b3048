// Element-wise passes: derivative of an activation, sum of two tensors, a loss alone, gradient of
// the L2 penalty.
//
// Computes    what the records in kernels/{activation_grad,add,loss,penalty}.h say, element by
//             element
// Shapes      flat [n]; outputs may be inputs
// Work split  a grid-stride loop over quads of elements, choose_flat_blocks; the loss:
//             choose_flat_sum
// Traffic     each tensor once: memory
// Numerics    float, one rounding to T; the loss as in dense_loss.cu
// Limits      n >= 1; bases that are not aligned to a quad are taken element by element
// Source      the headers named above
#include "kernels/activation_grad.h"
#include "kernels/add.h"
#include "kernels/cuda/flat.cuh"
#include "kernels/loss.h"
#include "kernels/penalty.h"

namespace diabolo::kernels::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(kFlatThreads)
    activation_grad_kernel(const __grid_constant__ WithVector<ActivationGrad<T>> call) {
  const auto& p = call.p;
  with_activation(p.activation, [&](auto act) {
    for_each_flat_quad(p.n, [&](int64_t at, int count) {
      const bool is_vector = call.is_vector && count == 4;
      gpu::Quad dy = gpu::load_quad(p.dy + at, count, is_vector);
      const gpu::Quad saved = gpu::load_quad(p.saved + at, count, is_vector);
      for (int i = 0; i < 4; ++i) dy.v[i] *= act.derivative(saved.v[i]);
      gpu::store_quad(p.dz + at, dy, count, is_vector);
    });
  });
}

template <class T>
__global__ void __launch_bounds__(kFlatThreads)
    add_kernel(const __grid_constant__ WithVector<Add<T>> call) {
  const auto& p = call.p;
  for_each_flat_quad(p.n, [&](int64_t at, int count) {
    const bool is_vector = call.is_vector && count == 4;
    gpu::Quad a = gpu::load_quad(p.a + at, count, is_vector);
    const gpu::Quad b = gpu::load_quad(p.b + at, count, is_vector);
    for (int i = 0; i < 4; ++i) a.v[i] += b.v[i];
    gpu::store_quad(p.y + at, a, count, is_vector);
  });
}

__global__ void __launch_bounds__(kFlatThreads)
    l2_penalty_grad_kernel(const __grid_constant__ WithVector<L2PenaltyGrad<float>> call) {
  const auto& p = call.p;
  const float factor = p.factor();
  for_each_flat_quad(p.n, [&](int64_t at, int count) {
    const bool is_vector = call.is_vector && count == 4;
    gpu::Quad term = gpu::load_quad(p.weight + at, count, is_vector);
    for (int i = 0; i < 4; ++i) term.v[i] *= factor;
    if (p.accumulate) {
      const gpu::Quad old = gpu::load_quad(p.d_weight + at, count, is_vector);
      for (int i = 0; i < 4; ++i) term.v[i] += old.v[i];
    }
    gpu::store_quad(p.d_weight + at, term, count, is_vector);
  });
}

template <class T>
struct LossPart {
  LossOf<T> p;
  float scale;
  int64_t elems_per_block;
  bool is_vector;
  float* partials;
};

template <class T>
__global__ void __launch_bounds__(kFlatThreads)
    loss_kernel(const __grid_constant__ LossPart<T> call) {
  const auto& p = call.p;
  with_loss(p.activation, p.kind, [&](auto element) {
    const float sum = sum_of_part(p.n, call.elems_per_block, [&](int64_t at, int count) {
      const bool is_vector = call.is_vector && count == 4;
      const gpu::Quad z = gpu::load_quad(p.z + at, count, is_vector);
      const gpu::Quad target = gpu::load_quad(p.target + at, count, is_vector);
      gpu::Quad dz;
      float of_quad = 0;
      for (int i = 0; i < 4; ++i) {
        const auto here = element.of(z.v[i], target.v[i]);
        if (i < count) of_quad += here.value;
        dz.v[i] = here.d_z * call.scale;
      }
      if (p.dz) gpu::store_quad(p.dz + at, dz, count, is_vector);
      return of_quad;
    });
    if (threadIdx.x == 0) call.partials[blockIdx.x] = sum;
  });
}

template <class T>
Launch prepare_loss(const LossOf<T>& p, void* scratch) {
  const FlatSum split = choose_flat_sum(p.n);
  const float scale = p.scale / static_cast<float>(static_cast<double>(p.n));
  auto* partials = static_cast<float*>(scratch);
  const LossPart<T> call{p, scale, split.elems_per_block, all_aligned(p.z, p.target, p.dz),
                         partials};
  const FinishSum finish{partials, split.blocks, scale, AfterSum::kScale, p.loss};
  return [=](void* stream) {
    launch_flat(loss_kernel<T>, finish.count, stream, call);
    launch_finish_sum(finish, stream);
  };
}

}  // namespace

Launch prepare(const ActivationGrad<float>& p, const Device& device, void*) {
  return flat_quads(activation_grad_kernel<float>, p, all_aligned(p.dy, p.saved, p.dz), device);
}
Launch prepare(const ActivationGrad<Bf16>& p, const Device& device, void*) {
  return flat_quads(activation_grad_kernel<Bf16>, p, all_aligned(p.dy, p.saved, p.dz), device);
}
Launch prepare(const Add<float>& p, const Device& device, void*) {
  return flat_quads(add_kernel<float>, p, all_aligned(p.a, p.b, p.y), device);
}
Launch prepare(const Add<Bf16>& p, const Device& device, void*) {
  return flat_quads(add_kernel<Bf16>, p, all_aligned(p.a, p.b, p.y), device);
}
Launch prepare(const L2PenaltyGrad<float>& p, const Device& device, void*) {
  return flat_quads(l2_penalty_grad_kernel, p, all_aligned(p.weight, p.d_weight), device);
}
Launch prepare(const LossOf<float>& p, const Device&, void* scratch) {
  return prepare_loss(p, scratch);
}
Launch prepare(const LossOf<Bf16>& p, const Device&, void* scratch) {
  return prepare_loss(p, scratch);
}

}  // namespace diabolo::kernels::cuda
