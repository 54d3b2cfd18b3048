// Dense data gradient, with the derivative of the layer below as epilogue.
//
// Computes    dx[b,i] = (sum_o dz[b,o] W[i,o]) f'(saved[b,i]); without `saved` the sum alone
// Shapes      dz [B,O], W [I,O] or [O,I], saved and dx [B,I]; T = f32 or bf16
// Work split  tile_product.cuh with m = B, n = I, k = O; W [I,O] lies along k here
// Traffic     (B O + I O + 2 B I) sizeof(T); 2 B I O flops
// Numerics    float sums over o ascending; one rounding to T at the end
// Limits      refuse_dense in choose.cpp
// Source      kernels/dense.h
#include "kernels/cuda/tile_product.cuh"

namespace diabolo::kernels::cuda {
namespace {

template <class T>
struct DataGradEpilogue {
  struct Params {
    const T* saved;
    T* dx;
    Activation activation;
    bool has_vector_rows;
  };

  static constexpr bool kSeesStages = false;
  static constexpr int kMinBlocksOfLarge = 0;
  static constexpr int kSlabCopies = 1;

  GPU_VERB explicit DataGradEpilogue(const Params& params) : p(params) {}

  template <class Loop, class Slab>
  GPU_VERB void slab(const Slab& slab) const {
    with_activation(p.activation, [&](auto act) {
      for_each_quad<Loop>(slab, [&](int64_t, int64_t at, int count, gpu::Quad dx, float*) {
        const bool is_vector = p.has_vector_rows && count == 4;
        if (p.saved) {
          const gpu::Quad saved = gpu::load_quad(p.saved + at, count, is_vector);
          for (int i = 0; i < 4; ++i) dx.v[i] *= act.derivative(saved.v[i]);
        }
        gpu::store_quad(p.dx + at, dx, count, is_vector);
      });
    });
  }

  template <class Loop, class Slab>
  GPU_VERB void finish(const Slab&, float*) const {}

  const Params& p;
};

template <class T>
Launch prepare_data_grad(const DenseDataGrad<T>& p, const Device& device) {
  const DenseShape& s = p.shape;
  MatrixCall<typename DataGradEpilogue<T>::Params> call;
  call.a = operand(p.dz, s.B, s.O);
  call.b = s.weight_transposed ? operand(p.weight, s.O, s.I) : operand(p.weight, s.I, s.O);
  call.m = s.B;
  call.n = s.I;
  call.k = call.k_per_split = s.O;
  call.output = {s.I};
  call.epilogue = {p.saved, p.dx, p.saved ? p.activation : Activation::kIdentity,
                   gpu::has_vector_rows(p.dx, s.I) && gpu::has_vector_rows(p.saved, s.I)};
  const TileSize size = choose_tile(s.B, s.I, tile_set<T>(device), device);
  const bool is_along_k = !s.weight_transposed;
  return [=](void* stream) {
    launch_dense<T, DataGradEpilogue<T>, TileSet::kAll>(call, size, is_along_k, device, stream);
  };
}

}  // namespace

Launch prepare(const DenseDataGrad<float>& p, const Device& device, void*) {
  return prepare_data_grad(p, device);
}
Launch prepare(const DenseDataGrad<Bf16>& p, const Device& device, void*) {
  return prepare_data_grad(p, device);
}

}  // namespace diabolo::kernels::cuda
