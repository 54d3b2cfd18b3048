// Both gradients of a dense layer in one launch: what its two products do that have the same dz.
//
// Computes    dense_data_grad.cu's dx, bit for bit, and dense_weight_grad.cu's d_weight and d_bias,
//             whose bits are those of a launch of their own with the same tile and cut. Both are
//             chosen for the two together, so a plan that joins has other last bits than one that
//             does not (kernels/README.md, Bits of a gradient)
// Shapes      as there; no tf32
// Work split  grid x: the data gradient's tiles and the weight gradient's, part by part, those of
//             the longer sums first, so that short ones fill the last wave; tiles of one size for
//             both (choose_dense_grads)
// Traffic     of the two, dz once more from the cache than it need be
// Numerics    as there
// Limits      refuse_shape in choose.cpp; both products' tiles below 2^31
// Source      kernels/dense.h
#include "kernels/cuda/data_grad.cuh"
#include "kernels/cuda/weight_grad.cuh"

namespace diabolo::kernels::cuda {
namespace {

template <class T>
struct GradsCall {
  MatrixCall<typename DataGradEpilogue<T>::Params> data;
  MatrixCall<WeightGradEpilogue::Params> weight;
  unsigned data_tiles = 0, weight_tiles = 0;
  unsigned first_data = 0, first_weight = 0;  // their blocks
};

template <class DataLoop, class WeightLoop, class T>
__global__ void __launch_bounds__(DataLoop::kThreads, kMinBlocks<DataLoop>)
    dense_grads_kernel(const __grid_constant__ GradsCall<T> p) {
  GPU_DYN_SHARED(unsigned char, shared);
  const unsigned tile = blockIdx.x - p.first_data;  // wraps around before it
  if (tile < p.data_tiles) {
    run_tile<DataLoop, DataGradEpilogue<T>>(p.data, shared, tile, 0);
  } else {
    const unsigned block = blockIdx.x - p.first_weight;
    run_tile<WeightLoop, WeightGradEpilogue>(p.weight, shared, block % p.weight_tiles,
                                             block / p.weight_tiles);
  }
}

template <class T, Along kWeight>
void launch_grads(GradsCall<T> call, const ProductChoice& choice, void* stream) {
  constexpr ProductMath kMath = sizeof(T) == 2 ? ProductMath::kBf16 : ProductMath::kF32;
  call.data_tiles = static_cast<unsigned>(tile_count(call.data.m, call.data.n, choice.tile));
  call.weight_tiles = static_cast<unsigned>(tile_count(call.weight.m, call.weight.n, choice.tile));
  const unsigned weight_blocks = call.weight_tiles * static_cast<unsigned>(choice.splits);
  const bool is_weight_first = choice.k_per_split > call.data.k;
  call.first_data = is_weight_first ? weight_blocks : 0;
  call.first_weight = is_weight_first ? 0 : call.data_tiles;
  with_tile<kMath, TileSet::kAll>(choice.tile, [&]<TileSize kSize>() {
    using DataLoop = typename LoopOf<kMath, kSize, Along::kDepth, kWeight>::Type;
    using WeightLoop = typename LoopOf<kMath, kSize, Along::kWidth, Along::kWidth>::Type;
    static_assert(DataLoop::kThreads == WeightLoop::kThreads &&
                  kProductBytes<DataLoop> == kProductBytes<WeightLoop>);
    gpu::launch(dense_grads_kernel<DataLoop, WeightLoop, T>, {call.data_tiles + weight_blocks},
                {static_cast<unsigned>(DataLoop::kThreads)}, kProductBytes<DataLoop>, stream, call);
  });
}

// What joins() has seen to.
template <class T>
void expect_one_layer(const DenseWeightGrad<T>& weight, const DenseDataGrad<T>& data,
                      const Device& device) {
  const DenseShape &a = weight.shape, &b = data.shape;
  const bool is_one_layer =
      a.B == b.B && a.I == b.I && a.O == b.O && a.weight_transposed == b.weight_transposed;
  if (!weight.is_joined || !is_one_layer || weight.dz != data.dz)
    throw std::logic_error("gradients in one launch: they are not of one layer");
  if (product_math<T>(device) == ProductMath::kTf32)
    throw std::logic_error("gradients in one launch: not built for tf32");
}

template <class T>
Launch prepare_grads(const DenseWeightGrad<T>& weight, const DenseDataGrad<T>& data,
                     const Device& device, void* scratch) {
  expect_one_layer(weight, data, device);
  const ProductChoice choice = choice_of(weight, device);
  const GradsCall<T> call{data_product(data), weight_product(weight, choice, scratch)};
  const Launch then = adding_parts(weight, choice, scratch);
  const bool is_along_k = !weight.shape.weight_transposed;
  return [=](void* stream) {
    if (is_along_k) {
      launch_grads<T, Along::kDepth>(call, choice, stream);
    } else {
      launch_grads<T, Along::kWidth>(call, choice, stream);
    }
    then(stream);
  };
}

}  // namespace

Launch prepare_joined(const DenseWeightGrad<float>& weight, const DenseDataGrad<float>& data,
                      const Device& device, void* scratch) {
  return prepare_grads(weight, data, device, scratch);
}
Launch prepare_joined(const DenseWeightGrad<Bf16>& weight, const DenseDataGrad<Bf16>& data,
                      const Device& device, void* scratch) {
  return prepare_grads(weight, data, device, scratch);
}

}  // namespace diabolo::kernels::cuda
