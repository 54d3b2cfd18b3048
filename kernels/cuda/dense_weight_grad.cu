// Dense weight and bias gradient.
//
// Computes    d_weight[i,o] = sum_b x[b,i] dz[b,o]; d_bias[o] = sum_b dz[b,o]; each added to what
//             is there if its flag says so
// Shapes      x [B,I], dz [B,O], d_weight [I,O] or [O,I] f32, d_bias [O] f32
// Work split  tile_product.cuh with m = I, n = O, k = B (the operands' rows), or m = O, n = I where
//             the weight is stored [O,I]. The first row (or column) of tiles also sums the columns
//             of dz that it stages: the bias. Where the tiles are too few for the device, the batch
//             is cut (choose_weight_grad): parts to scratch, which one pass, or their reader, adds
//             in order
// Traffic     (B I + B O) sizeof(T) + 4 I O (2 splits + 1); 2 B I O flops
// Numerics    float sums over b ascending within a part, parts in ascending order: the same bits
//             for one shape and device
// Limits      refuse_dense in choose.cpp
// Source      kernels/dense.h
#include "kernels/cuda/flat.cuh"
#include "kernels/cuda/weight_grad.cuh"

namespace diabolo::kernels::cuda {
namespace {

__global__ void __launch_bounds__(kFlatThreads)
    reduce_parts_kernel(const __grid_constant__ ReduceParts p) {
  const bool is_bias = int64_t{blockIdx.x} >= p.weight_blocks;
  const AddParts& add = is_bias ? p.bias : p.weight;
  const int64_t block = int64_t{blockIdx.x} - (is_bias ? p.weight_blocks : 0);
  const int64_t k = block * kFlatThreads + threadIdx.x;
  if (k >= add.elems) return;
  float sum = 0;
  for (int64_t split = 0; split < p.splits; ++split) sum += add.parts[split * add.elems + k];
  add.out[k] = add.accumulates ? add.out[k] + sum : sum;
}

template <class T>
Launch prepare_weight_grad(const DenseWeightGrad<T>& p, const Device& device, void* scratch) {
  const ProductChoice split = choice_of(p, device);
  const auto product = weight_product(p, split, scratch);
  const Launch then = adding_parts(p, split, scratch);
  return [=](void* stream) {
    with_math<T>(device, [&]<ProductMath kMath>() {
      launch_product<kMath, Along::kWidth, Along::kWidth, WeightGradEpilogue, TileSet::kAll>(
          split.tile, product, split.splits, stream);
    });
    then(stream);
  };
}

}  // namespace

void launch_reduce_parts(const ReduceParts& parts, void* stream) {
  const int64_t blocks = parts.weight_blocks + ceil_div(parts.bias.elems, kFlatThreads);
  launch_flat(reduce_parts_kernel, blocks, stream, parts);
}

Launch prepare(const DenseWeightGrad<float>& p, const Device& device, void* scratch) {
  return prepare_weight_grad(p, device, scratch);
}
Launch prepare(const DenseWeightGrad<Bf16>& p, const Device& device, void* scratch) {
  return prepare_weight_grad(p, device, scratch);
}

}  // namespace diabolo::kernels::cuda
