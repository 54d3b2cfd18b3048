// Dense layer with its loss: the last layer of a training step. The reconstruction is never stored.
//
// Computes    loss = scale / (B O) sum l(f(x W + b), target); dz, its gradient before the
//             activation
// Shapes      x [B,I], W [I,O] or [O,I], bias [O] f32, target and dz [B,O], loss [1] f32
// Work split  as dense_forward; each tile leaves one partial loss, the last block to come adds them
// Traffic     (B I + I O + 2 B O) sizeof(T); 2 B I O flops
// Numerics    float; partial losses per thread in order, then block_sum, then tiles in order: fixed
//             by shape and device
// Limits      refuse_dense in choose.cpp
// Source      kernels/dense.h, kernels/common/losses.h
#include "kernels/cuda/device/arrive.cuh"
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
    float* loss;
    std::uint32_t* arrivals;  // one word of zeros
    float scale;
    Activation activation;
    Loss kind;
    bool is_wide;
    bool has_vector_bias;
  };
  static constexpr bool kSeesStages = false;
  static constexpr int kSlabCopies = 2;  // what becomes dz; the target, then f'

  template <class Loop>
  struct Of {
    GPU_VERB explicit Of(const Params& params) : p(params) {}

    template <class Slab>
    GPU_VERB void begin(const Slab& slab) {
      bias = column_quad<Loop>(p.bias, slab, p.has_vector_bias);
      target.fetch(p.target, slab, 0, p.is_wide);
    }

    // Two passes of the same thread over the same quads: activation (one loop of nine), then loss
    // (one of four). One pass would need a loop for each of the 28 pairs, in every instance of the
    // kernel.
    template <class Slab>
    GPU_VERB void slab(const Slab& slab) {
      target.put(p.target, slab, p.is_wide);
      gpu::sync_block();
      if (slab.index + 1 < Loop::kSlabs) target.fetch(p.target, slab, slab.index + 1, p.is_wide);
      if (p.kind == Loss::kBce) {
        reduce(slab, [&](const gpu::Quad& z, const gpu::Quad& t, int i) {
          return BceOnLogits::of(z.v[i] + bias.v[i], t.v[i]);
        });
      } else {
        subtract_target(slab);
        with_difference(p.kind, [&](auto loss) {
          reduce(slab, [&](const gpu::Quad& difference, const gpu::Quad& slope, int i) {
            auto here = loss.of(difference.v[i]);
            here.d_z *= slope.v[i];
            return here;
          });
        });
      }
      gpu::sync_block();
      if (p.dz) store_slab<Loop>(p.dz, slab, slab.values, p.is_wide);
    }

    // The values become f(z) - target; the targets beside them f'(z).
    template <class Slab>
    GPU_VERB void subtract_target(const Slab& slab) const {
      with_activation(p.activation, [&](auto act) {
        for_each_quad<Loop>(slab, [&](int at, int) {
          const gpu::Quad z = slab_quad(slab.values + at) + bias;
          const gpu::Quad t = slab_quad(slab.beside + at);
          gpu::Quad difference, slope;
          for (int i = 0; i < 4; ++i) {
            const float y = act.forward(z.v[i]);
            slope.v[i] = act.derivative(decltype(act)::kSavesZ ? z.v[i] : y);
            difference.v[i] = y - t.v[i];
          }
          set_slab_quad(slab.values + at, difference);
          set_slab_quad(slab.beside + at, slope);
        });
      });
    }

    // Adds up element(quad of the values, quad beside it, i).value; the values become its d_z.
    template <class Slab, class F>
    GPU_VERB void reduce(const Slab& slab, F&& element) {
      for_each_quad<Loop>(slab, [&](int at, int count) {
        const gpu::Quad values = slab_quad(slab.values + at);
        const gpu::Quad beside = slab_quad(slab.beside + at);
        gpu::Quad dz;
        for (int i = 0; i < 4; ++i) {
          const auto here = element(values, beside, i);
          if (i < count) sum += here.value;
          dz.v[i] = here.d_z * p.scale;
        }
        set_slab_quad(slab.values + at, dz);
      });
    }

    template <class Slab>
    GPU_VERB void finish(const Slab& slab, float* scratch) {
      const float of_tile = gpu::block_sum<Loop::kThreads>(sum, scratch);
      if (threadIdx.x == 0) p.partials[slab.tile] = of_tile;
      auto* told = reinterpret_cast<std::uint32_t*>(scratch + Loop::kThreads / 32);
      if (!gpu::comes_last(p.arrivals, gridDim.x, told)) return;
      float total = 0;
      for (unsigned tile = threadIdx.x; tile < gridDim.x; tile += Loop::kThreads)
        total += p.partials[tile];
      total = gpu::block_sum<Loop::kThreads>(total, scratch);
      if (threadIdx.x == 0) *p.loss = total * p.scale;
    }

    const Params& p;
    gpu::Quad bias;
    SlabOperand<Loop, T> target;
    float sum = 0;
  };
};

template <class T>
Launch prepare_loss(const DenseLoss<T>& p, const Device& device, void* scratch) {
  const DenseShape& s = p.shape;
  const float scale = p.scale / static_cast<float>(static_cast<double>(s.B * s.O));
  if (p.arrivals == nullptr) throw std::logic_error("dense_loss: no arrivals");
  auto call = layer_product<typename LossEpilogue<T>::Params>(s, p.x, p.weight);
  call.epilogue = {p.bias,
                   p.target,
                   p.dz,
                   static_cast<float*>(scratch),
                   p.loss,
                   p.arrivals,
                   scale,
                   p.activation,
                   p.kind,
                   has_wide_rows(p.target, s.O) && has_wide_rows(p.dz, s.O),
                   gpu::has_vector_rows(p.bias, 4)};
  const TileSize size = choose_loss_tile(s, product_math<T>(device), device);
  const bool is_along_k = s.weight_transposed;
  return [=](void* stream) {
    launch_dense<T, LossEpilogue<T>, TileSet::kLargeAndSmall>(call, size, is_along_k, device,
                                                              stream);
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
