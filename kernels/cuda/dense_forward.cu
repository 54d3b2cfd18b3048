// Dense forward: y = f(x W + b), z kept where asked.
//
// Computes    y[b,o] = f(z), z = sum_i x[b,i] W[i,o] + bias[o]
// Shapes      x [B,I], W [I,O] or [O,I], bias [O] f32, y and z [B,O]; T = f32 or bf16
// Work split  tile_product.cuh with m = B, n = O, k = I; the epilogue walks each slab in quads of
//             a row
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
    bool has_vector_rows;
    bool has_vector_bias;
  };

  static constexpr bool kSeesStages = false;
  static constexpr int kMinBlocksOfLarge = 0;
  static constexpr int kSlabCopies = 1;

  GPU_VERB explicit ForwardEpilogue(const Params& params) : p(params) {}

  template <class Loop, class Slab>
  GPU_VERB void slab(const Slab& slab) const {
    with_activation(p.activation, [&](auto act) {
      for_each_quad<Loop>(slab, [&](int64_t column, int64_t at, int count, gpu::Quad z, float*) {
        if (p.bias) {
          const gpu::Quad bias =
              gpu::load_quad(p.bias + column, count, p.has_vector_bias && count == 4);
          for (int i = 0; i < 4; ++i) z.v[i] += bias.v[i];
        }
        const bool is_vector = p.has_vector_rows && count == 4;
        if (p.z) gpu::store_quad(p.z + at, z, count, is_vector);
        gpu::Quad y;
        for (int i = 0; i < 4; ++i) y.v[i] = act.forward(z.v[i]);
        gpu::store_quad(p.y + at, y, count, is_vector);
      });
    });
  }

  template <class Loop, class Slab>
  GPU_VERB void finish(const Slab&, float*) const {}

  const Params& p;
};

template <class T>
Launch prepare_forward(const DenseForward<T>& p, const Device& device) {
  const DenseShape& s = p.shape;
  auto call = layer_product<typename ForwardEpilogue<T>::Params>(s, p.x, p.weight);
  call.epilogue = {p.bias,
                   p.y,
                   p.z,
                   p.activation,
                   gpu::has_vector_rows(p.y, s.O) && gpu::has_vector_rows(p.z, s.O),
                   gpu::has_vector_rows(p.bias, 4)};
  const TileSize size = choose_tile(s.B, s.O, tile_set<T>(device), device);
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
