// Dense data gradient, with the derivative of the layer below as epilogue.
//
// Computes    dx[b,i] = (sum_o dz[b,o] W[i,o]) f'(saved[b,i]); without `saved` the sum alone
// Shapes      dz [B,O], W [I,O] or [O,I], saved and dx [B,I]; T = f32 or bf16
// Work split  tile_product.cuh with m = B, n = I, k = O; W [I,O] lies along k here
// Traffic     (B O + I O + 2 B I) sizeof(T); 2 B I O flops
// Numerics    float sums over o ascending; one rounding to T at the end
// Limits      refuse_dense in choose.cpp
// Source      kernels/dense.h
#include "kernels/cuda/data_grad.cuh"

namespace diabolo::kernels::cuda {
namespace {

template <class T>
Launch prepare_data_grad(const DenseDataGrad<T>& p, const Device& device) {
  const DenseShape& s = p.shape;
  const auto call = data_product(p);
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
