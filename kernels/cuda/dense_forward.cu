// Dense forward: y = f(x W + b), z kept where asked.
//
// Computes    y[b,o] = f(z), z = sum_i x[b,i] W[i,o] + bias[o]
// Shapes      x [B,I], W [I,O] or [O,I], bias [O] f32, y and z [B,O]; T = f32 or bf16
// Work split  tile_product.cuh with m = B, n = O, k = I; the epilogue adds the bias and applies f
//             slab by slab
// Traffic     (B I + I O + B O) sizeof(T) at least; 2 B I O flops
// Numerics    float sums in an order that depends on nothing but I: a row's result is the same in
//             any batch; one rounding to T at the end
// Limits      refuse_dense in choose.cpp; any width and alignment (narrower copies)
// Source      kernels/dense.h
#include "kernels/cuda/tile_product.cuh"

namespace diabolo::kernels::cuda {
namespace {

template <class T>
struct ForwardEpilogue {
  struct Params {
    const float* bias;
    T* y;
    T* z;
    Activation activation;
    bool is_wide;
    bool has_vector_bias;
  };
  static constexpr bool kSeesStages = false;
  static constexpr int kSlabCopies = 2;  // y, and z beside it

  template <class Loop>
  struct Of {
    GPU_VERB explicit Of(const Params& params) : p(params) {}

    template <class Slab>
    GPU_VERB void begin(const Slab& slab) {
      bias = column_quad<Loop>(p.bias, slab, p.has_vector_bias);
    }

    template <class Slab>
    GPU_VERB void slab(const Slab& slab) const {
      gpu::sync_block();
      with_activation(p.activation, [&](auto act) {
        for_each_quad<Loop>(slab, [&](int at, int) {
          gpu::Quad z = slab_quad(slab.values + at) + bias;
          if (p.z) set_slab_quad(slab.beside + at, z);
          for (float& v : z.v) v = act.forward(v);
          set_slab_quad(slab.values + at, z);
        });
      });
      gpu::sync_block();
      store_slab<Loop>(p.y, slab, slab.values, p.is_wide);
      if (p.z) store_slab<Loop>(p.z, slab, slab.beside, p.is_wide);
    }

    template <class Slab>
    GPU_VERB void finish(const Slab&, float*) const {}

    const Params& p;
    gpu::Quad bias;
  };
};

template <class T>
Launch prepare_forward(const DenseForward<T>& p, const Device& device) {
  const DenseShape& s = p.shape;
  auto call = layer_product<typename ForwardEpilogue<T>::Params>(s, p.x, p.weight);
  call.epilogue = {p.bias,
                   p.y,
                   p.z,
                   p.activation,
                   has_wide_rows(p.y, s.O) && has_wide_rows(p.z, s.O),
                   gpu::has_vector_rows(p.bias, 4)};
  const TileSize size =
      choose_product({s.B, s.O, s.I}, TileSet::kAll, product_math<T>(device), device).tile;
  const bool is_along_k = s.weight_transposed;
  return [=](void* stream) {
    launch_dense<T, ForwardEpilogue<T>, TileSet::kAll>(call, size, is_along_k, device, stream);
  };
}

}  // namespace

Launch prepare(const DenseForward<float>& p, const Device& device, void*) {
  return prepare_forward(p, device);
}
Launch prepare(const DenseForward<Bf16>& p, const Device& device, void*) {
  return prepare_forward(p, device);
}

}  // namespace diabolo::kernels::cuda
