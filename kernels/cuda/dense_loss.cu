// Dense layer with its loss: the last layer of a training step. The reconstruction is never stored.
//
// Computes    loss = scale / (B O) sum l(f(x W + b), target); dz, its gradient before the
//             activation
// Shapes      x [B,I], W [I,O] or [O,I], bias [O] f32, target and dz [B,O], loss [1] f32
// Work split  as dense_forward; each tile leaves one partial loss, one block adds them
// Traffic     (B I + I O + 2 B O) sizeof(T); 2 B I O flops
// Numerics    float; partial losses per thread in order, then block_sum, then tiles in order: fixed
//             by shape and device
// Limits      refuse_dense in choose.cpp
// Source      kernels/dense.h, kernels/common/losses.h
#include "kernels/cuda/flat.cuh"
#include "kernels/cuda/tile_product.cuh"

namespace diabolo::kernels::cuda {
namespace {

template <class T>
struct LossEpilogue {
  struct Params {
    const float* bias;
    const T* target;
    T* dz;
    float* partials;  // one a tile
    float scale;
    Activation activation;
    Loss kind;
    bool has_vector_rows;
    bool has_vector_bias;
  };

  static constexpr bool kSeesStages = false;
  static constexpr int kMinBlocksOfLarge = 0;
  static constexpr int kSlabCopies = 2;  // y, and the slope behind it

  GPU_VERB explicit LossEpilogue(const Params& params) : p(params) {}

  // Two passes of the same thread over the same quads: activation (one loop of nine), then loss
  // (one of four). One pass would need a loop for each of the 28 pairs, in every instance of the
  // kernel.
  template <class Loop, class Slab>
  GPU_VERB void slab(const Slab& slab) {
    const bool is_bce = p.kind == Loss::kBce;
    with_activation(is_bce ? Activation::kIdentity : p.activation, [&](auto act) {
      for_each_quad<Loop>(slab, [&](int64_t column, int64_t, int count, gpu::Quad z, float* at) {
        add_bias(z, column, count);
        gpu::Quad slope;
        for (int i = 0; i < 4; ++i) {
          const float y = act.forward(z.v[i]);
          slope.v[i] = act.derivative(decltype(act)::kSavesZ ? z.v[i] : y);
          z.v[i] = y;
        }
        gpu::store<16>(at, gpu::bit_cast<gpu::Bits<16>>(z));
        gpu::store<16>(at + kSlabBytes<Loop> / 4, gpu::bit_cast<gpu::Bits<16>>(slope));
      });
    });
    if (is_bce) {
      reduce<Loop>(slab, [](float z, float target) { return BceOnLogits::of(z, target); });
    } else {
      with_difference(p.kind, [&](auto loss) {
        reduce<Loop>(slab, [&](float y, float target) { return loss.of(y - target); });
      });
    }
  }

  // Adds up element(y, target).value and stores its derivative times the slope that `slab` left.
  template <class Loop, class Slab, class F>
  GPU_VERB void reduce(const Slab& slab, F&& element) {
    for_each_quad<Loop>(slab, [&](int64_t, int64_t place, int count, gpu::Quad y, float* at) {
      const auto slope = gpu::bit_cast<gpu::Quad>(gpu::load<16>(at + kSlabBytes<Loop> / 4));
      const bool is_vector = p.has_vector_rows && count == 4;
      const gpu::Quad target = gpu::load_quad(p.target + place, count, is_vector);
      gpu::Quad dz;
      for (int i = 0; i < 4; ++i) {
        const auto here = element(y.v[i], target.v[i]);
        if (i < count) sum += here.value;
        dz.v[i] = here.d_z * slope.v[i] * p.scale;
      }
      if (p.dz) gpu::store_quad(p.dz + place, dz, count, is_vector);
    });
  }

  GPU_VERB void add_bias(gpu::Quad& z, int64_t column, int count) const {
    if (p.bias == nullptr) return;
    const gpu::Quad bias = gpu::load_quad(p.bias + column, count, p.has_vector_bias && count == 4);
    for (int i = 0; i < 4; ++i) z.v[i] += bias.v[i];
  }

  template <class Loop, class Slab>
  GPU_VERB void finish(const Slab& slab, float* scratch) {
    const float of_tile = gpu::block_sum<Loop::kThreads>(sum, scratch);
    if (threadIdx.x == 0) p.partials[slab.tile] = of_tile;
  }

  const Params& p;
  float sum = 0;
};

template <class T>
Launch prepare_loss(const DenseLoss<T>& p, const Device& device, void* scratch) {
  const DenseShape& s = p.shape;
  const float scale = p.scale / static_cast<float>(static_cast<double>(s.B * s.O));
  auto* partials = static_cast<float*>(scratch);
  auto call = layer_product<typename LossEpilogue<T>::Params>(s, p.x, p.weight);
  call.epilogue = {p.bias,
                   p.target,
                   p.dz,
                   partials,
                   scale,
                   p.activation,
                   p.kind,
                   gpu::has_vector_rows(p.target, s.O) && gpu::has_vector_rows(p.dz, s.O),
                   gpu::has_vector_rows(p.bias, 4)};
  const TileSize size = choose_tile(s.B, s.O, TileSet::kLargeAndSmall, device);
  const FinishSum finish{partials, tile_count(s.B, s.O, size), scale, AfterSum::kScale, p.loss};
  const bool is_along_k = s.weight_transposed;
  return [=](void* stream) {
    launch_dense<T, LossEpilogue<T>, TileSet::kLargeAndSmall>(call, size, is_along_k, device,
                                                              stream);
    launch_finish_sum(finish, stream);
  };
}

}  // namespace

Launch prepare(const DenseLoss<float>& p, const Device& device, void* scratch) {
  return prepare_loss(p, device, scratch);
}
Launch prepare(const DenseLoss<Bf16>& p, const Device& device, void* scratch) {
  return prepare_loss(p, device, scratch);
}

}  // namespace diabolo::kernels::cuda
