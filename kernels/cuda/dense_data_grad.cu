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
    bool is_wide;
  };
  static constexpr bool kSeesStages = false;
  static constexpr int kSlabCopies = 2;  // dx, and what was saved

  template <class Loop>
  struct Of {
    GPU_VERB explicit Of(const Params& params) : p(params) {}

    template <class Slab>
    GPU_VERB void begin(const Slab& slab) {
      if (p.saved) saved.fetch(p.saved, slab, 0, p.is_wide);
    }

    template <class Slab>
    GPU_VERB void slab(const Slab& slab) {
      if (p.saved) {
        saved.put(p.saved, slab, p.is_wide);
        gpu::sync_block();
        if (slab.index + 1 < Loop::kSlabs) saved.fetch(p.saved, slab, slab.index + 1, p.is_wide);
        multiply(slab);
      }
      gpu::sync_block();
      store_slab<Loop>(p.dx, slab, slab.values, p.is_wide);
    }

    template <class Slab>
    GPU_VERB void multiply(const Slab& slab) const {
      with_activation(p.activation, [&](auto act) {
        for_each_quad<Loop>(slab, [&](int at, int) {
          gpu::Quad dx = slab_quad(slab.values + at);
          const gpu::Quad here = slab_quad(slab.beside + at);
          for (int i = 0; i < 4; ++i) dx.v[i] *= act.derivative(here.v[i]);
          set_slab_quad(slab.values + at, dx);
        });
      });
    }

    template <class Slab>
    GPU_VERB void finish(const Slab&, float*) const {}

    const Params& p;
    SlabOperand<Loop, T> saved;
  };
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
                   has_wide_rows(p.dx, s.I) && has_wide_rows(p.saved, s.I)};
  const TileSize size =
      choose_product({s.B, s.I, s.O}, TileSet::kAll, product_math<T>(device), device).tile;
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
