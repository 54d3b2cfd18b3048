// The data gradient's side of a product, for a launch of its own and for one with the weight
// gradient: its epilogue and its operands.
#pragma once

#include "kernels/cuda/tile_product.cuh"

namespace diabolo::kernels::cuda {

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
MatrixCall<typename DataGradEpilogue<T>::Params> data_product(const DenseDataGrad<T>& p) {
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
  return call;
}

}  // namespace diabolo::kernels::cuda
