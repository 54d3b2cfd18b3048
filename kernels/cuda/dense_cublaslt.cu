// Dense forward and data gradient whose product cuBLASLt computes, and the pass that finishes it.
//
// Computes    forward: y = f(product + bias), z kept where asked; data gradient: dx = product
//             f'(saved)
// Shapes      product [B,O] or [B,I] f32: the result's own memory for f32 layers, scratch for bf16;
//             bias [O] f32; y, z, saved, dx as the product, T = f32 or bf16
// Work split  a grid-stride loop over quads of a row (forward) or of the flat array
// Traffic     the product once, every result once: memory
// Numerics    the product in f32 (its order is the library's), one rounding to T at the end
// Limits      choose_cublaslt.cpp; bases that are not aligned to a quad are taken element by
//             element
// Source      kernels/dense.h; why the library's own epilogues are not used: cublaslt.h
#include "kernels/cuda/cublaslt.h"
#include "kernels/cuda/flat.cuh"

namespace diabolo::kernels::cuda::cublaslt {
namespace {

template <class T>
struct FinishForward {
  const float* product;  // may be y
  const float* bias;
  T* y;
  T* z;
  int64_t B, O;
  Activation activation;
  bool has_vector_rows;
  bool has_vector_bias;
};

template <class T>
__global__ void __launch_bounds__(kFlatThreads)
    finish_forward_kernel(const __grid_constant__ FinishForward<T> p) {
  with_activation(p.activation, [&](auto act) {
    for_each_row_quad(p.B, p.O, [&](int64_t row, int64_t column, int count) {
      const int64_t at = row * p.O + column;
      const bool is_vector = p.has_vector_rows && count == 4;
      gpu::Quad z = gpu::load_quad(p.product + at, count, is_vector);
      if (p.bias) {
        const gpu::Quad bias =
            gpu::load_quad(p.bias + column, count, p.has_vector_bias && count == 4);
        for (int i = 0; i < 4; ++i) z.v[i] += bias.v[i];
      }
      if (p.z) gpu::store_quad(p.z + at, z, count, is_vector);
      gpu::Quad y;
      for (int i = 0; i < 4; ++i) y.v[i] = act.forward(z.v[i]);
      gpu::store_quad(p.y + at, y, count, is_vector);
    });
  });
}

template <class T>
struct FinishDataGrad {
  const float* product;  // may be dx
  const T* saved;
  T* dx;
  int64_t n;
  Activation activation;
  bool is_vector;
};

template <class T>
__global__ void __launch_bounds__(kFlatThreads)
    finish_data_grad_kernel(const __grid_constant__ FinishDataGrad<T> p) {
  with_activation(p.activation, [&](auto act) {
    for_each_flat_quad(p.n, [&](int64_t at, int count) {
      const bool is_vector = p.is_vector && count == 4;
      gpu::Quad dx = gpu::load_quad(p.product + at, count, is_vector);
      const gpu::Quad saved = gpu::load_quad(p.saved + at, count, is_vector);
      for (int i = 0; i < 4; ++i) dx.v[i] *= act.derivative(saved.v[i]);
      gpu::store_quad(p.dx + at, dx, count, is_vector);
    });
  });
}

// Where a product that is to be finished goes: f32 into the result's memory, else behind the
// workspace.
inline float* unfinished(float* result, const Device&, void*) {
  return result;
}
inline float* unfinished(Bf16*, const Device& device, void* scratch) {
  return reinterpret_cast<float*>(static_cast<char*>(scratch) + workspace_bytes(device));
}

template <class P>
Launch then_finish(const Launch& product, void (*kernel)(P), int64_t quads, const P& finish,
                   const Device& device) {
  if (!product) return {};
  const int64_t blocks = choose_flat_blocks(quads, device);
  return [=](void* stream) {
    product(stream);
    launch_flat(kernel, blocks, stream, finish);
  };
}

template <class T>
Launch prepare_forward(const DenseForward<T>& p, const Device& device, int index, void* scratch) {
  const DenseShape& s = p.shape;
  constexpr bool kIsBf16 = sizeof(T) == 2;
  Product product{.m = s.B,
                  .n = s.O,
                  .k = s.I,
                  .w_is_transposed = s.weight_transposed,
                  .is_bf16 = kIsBf16,
                  .d_is_bf16 = kIsBf16,
                  .a = p.x,
                  .w = p.weight,
                  .bias = nullptr,
                  .d = p.y};
  if (!needs_finish(p)) {
    if constexpr (!kIsBf16) product.bias = p.bias;
    return prepare_product(product, device, index, scratch);
  }
  float* const values = unfinished(p.y, device, scratch);
  product.d = values;
  product.d_is_bf16 = false;
  const bool has_vector_rows = gpu::has_vector_rows(values, s.O) &&
                               gpu::has_vector_rows(p.y, s.O) && gpu::has_vector_rows(p.z, s.O);
  const FinishForward<T> finish{values,
                                p.bias,
                                p.y,
                                p.z,
                                s.B,
                                s.O,
                                p.activation,
                                has_vector_rows,
                                gpu::has_vector_rows(p.bias, 4)};
  return then_finish(prepare_product(product, device, index, scratch), finish_forward_kernel<T>,
                     s.B * ceil_div(s.O, 4), finish, device);
}

template <class T>
Launch prepare_data_grad(const DenseDataGrad<T>& p, const Device& device, int index,
                         void* scratch) {
  const DenseShape& s = p.shape;
  constexpr bool kIsBf16 = sizeof(T) == 2;
  Product product{.m = s.B,
                  .n = s.I,
                  .k = s.O,
                  .w_is_transposed = !s.weight_transposed,
                  .is_bf16 = kIsBf16,
                  .d_is_bf16 = kIsBf16,
                  .a = p.dz,
                  .w = p.weight,
                  .bias = nullptr,
                  .d = p.dx};
  if (!needs_finish(p)) return prepare_product(product, device, index, scratch);
  float* const values = unfinished(p.dx, device, scratch);
  product.d = values;
  product.d_is_bf16 = false;
  const bool is_vector = gpu::has_vector_rows(values, 4) && gpu::has_vector_rows(p.saved, 4) &&
                         gpu::has_vector_rows(p.dx, 4);
  const FinishDataGrad<T> finish{values, p.saved, p.dx, s.B * s.I, p.activation, is_vector};
  return then_finish(prepare_product(product, device, index, scratch), finish_data_grad_kernel<T>,
                     ceil_div(finish.n, 4), finish, device);
}

// Where the library has no algorithm - it is asked once the addresses are known, and some may be
// aligned too little for it - our tiles, which need no scratch here.
template <class P>
Launch or_tiles(Launch by_library, const P& p, const Device& device) {
  return by_library ? by_library : cuda::prepare(p, device, nullptr);
}

}  // namespace

Launch prepare(const DenseForward<float>& p, const Device& device, int index, void* scratch) {
  return or_tiles(prepare_forward(p, device, index, scratch), p, device);
}
Launch prepare(const DenseForward<Bf16>& p, const Device& device, int index, void* scratch) {
  return or_tiles(prepare_forward(p, device, index, scratch), p, device);
}
Launch prepare(const DenseDataGrad<float>& p, const Device& device, int index, void* scratch) {
  return or_tiles(prepare_data_grad(p, device, index, scratch), p, device);
}
Launch prepare(const DenseDataGrad<Bf16>& p, const Device& device, int index, void* scratch) {
  return or_tiles(prepare_data_grad(p, device, index, scratch), p, device);
}

}  // namespace diabolo::kernels::cuda::cublaslt
