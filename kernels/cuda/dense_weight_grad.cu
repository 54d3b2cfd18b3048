// Dense weight and bias gradient.
//
// Computes    d_weight[i,o] = sum_b x[b,i] dz[b,o]; d_bias[o] = sum_b dz[b,o]; added to what is
// there if
//             `accumulate`
// Shapes      x [B,I], dz [B,O], d_weight [I,O] or [O,I] f32, d_bias [O] f32
// Work split  tile_product.cuh with m = I, n = O, k = B (the operands' rows), or m = O, n = I where
// the
//             weight is stored [O,I]. Where the tiles are too few for the device, the batch is cut
//             (choose_weight_grad): parts to scratch, then one pass adds them in order. The bias:
//             column sums of parts of the batch, then the same pass
// Traffic     (B I + B O) sizeof(T) + 4 I O (2 splits + 1); 2 B I O flops
// Numerics    float sums over b ascending within a part, parts in ascending order: the same bits
// for one
//             shape and device
// Limits      refuse_dense in choose.cpp
// Source      kernels/dense.h
#include "kernels/cuda/flat.cuh"
#include "kernels/cuda/tile_product.cuh"

namespace diabolo::kernels::cuda {
namespace {

struct WeightGradEpilogue {
  struct Params {
    float* out;  // [splits, m, n]
    bool accumulate;
    bool has_vector_rows;
  };

  static constexpr int kSlabCopies = 1;

  GPU_VERB explicit WeightGradEpilogue(const Params& params) : p(params) {}

  template <class Loop>
  GPU_VERB void slab(const Slab& slab) const {
    for_each_quad<Loop>(slab, [&](int64_t row, int64_t column, int count, gpu::Quad sum, float*) {
      float* out = p.out + (slab.split * slab.m + row) * slab.n + column;
      const bool is_vector = p.has_vector_rows && count == 4;
      if (p.accumulate) {
        const gpu::Quad old = gpu::load_quad(out, count, is_vector);
        for (int i = 0; i < 4; ++i) sum.v[i] += old.v[i];
      }
      gpu::store_quad(out, sum, count, is_vector);
    });
  }

  template <class Loop>
  GPU_VERB void finish(const Slab&, float*) const {}

  const Params& p;
};

// Parts of the bias gradient: parts[split, o] = sum over the split's rows of dz[b,o]. A block has
// 32 quads of columns and 8 threads for each, which take every eighth row.
template <class T>
struct ColumnSums {
  int64_t rows, columns, rows_per_split;
  const T* dz;
  float* parts;
  bool has_vector_rows;
};

constexpr int kColumnQuads = 32;
constexpr int kRowLanes = kFlatThreads / kColumnQuads;

template <class T>
__global__ void __launch_bounds__(kFlatThreads)
    column_sums_kernel(const __grid_constant__ ColumnSums<T> p) {
  GPU_SHARED(gpu::Quad, sums, kFlatThreads);
  const int quad = static_cast<int>(threadIdx.x) % kColumnQuads;
  const int lane = static_cast<int>(threadIdx.x) / kColumnQuads;
  const int64_t column = (int64_t{blockIdx.x} * kColumnQuads + quad) * 4;
  const int64_t left = p.columns - column;
  const int count = left <= 0 ? 0 : (left < 4 ? static_cast<int>(left) : 4);
  const int64_t begin = int64_t{blockIdx.y} * p.rows_per_split;
  const int64_t end = begin + p.rows_per_split < p.rows ? begin + p.rows_per_split : p.rows;
  gpu::Quad sum{};
  for (int64_t b = begin + lane; b < end && count > 0; b += kRowLanes) {
    const gpu::Quad dz =
        gpu::load_quad(p.dz + b * p.columns + column, count, p.has_vector_rows && count == 4);
    for (int i = 0; i < 4; ++i) sum.v[i] += dz.v[i];
  }
  sums[threadIdx.x] = sum;
  gpu::sync_block();
  if (lane != 0 || count == 0) return;
  for (int other = 1; other < kRowLanes; ++other) {
    for (int i = 0; i < 4; ++i) sum.v[i] += sums[other * kColumnQuads + quad].v[i];
  }
  gpu::store_quad(p.parts + blockIdx.y * p.columns + column, sum, count, false);
}

// out[k] = sum over splits of parts[split, k] (+ out[k]), for the weight and for the bias, in one
// launch: blocks below `weight_blocks` take the weight.
struct AddParts {
  const float* parts;
  float* out;
  int64_t elems;
  int64_t splits;
  bool accumulates;
};
struct ReduceParts {
  AddParts weight, bias;
  int64_t weight_blocks;
};

__global__ void __launch_bounds__(kFlatThreads)
    reduce_parts_kernel(const __grid_constant__ ReduceParts p) {
  const bool is_bias = int64_t{blockIdx.x} >= p.weight_blocks;
  const AddParts& add = is_bias ? p.bias : p.weight;
  const int64_t block = int64_t{blockIdx.x} - (is_bias ? p.weight_blocks : 0);
  const int64_t k = block * kFlatThreads + threadIdx.x;
  if (k >= add.elems) return;
  float sum = 0;
  for (int64_t split = 0; split < add.splits; ++split) sum += add.parts[split * add.elems + k];
  add.out[k] = add.accumulates ? add.out[k] + sum : sum;
}

template <class T>
void launch_weight_product(TileSize size, const ProductCall<WeightGradEpilogue::Params>& call,
                           int64_t splits, const Device& device, void* stream) {
  with_math<T>(device, [&]<ProductMath kMath>() {
    launch_product<kMath, Along::kWidth, Along::kWidth, WeightGradEpilogue, TileSet::kAll>(
        size, call, splits, stream);
  });
}

template <class T>
Launch prepare_weight_grad(const DenseWeightGrad<T>& p, const Device& device, void* scratch) {
  const DenseShape& s = p.shape;
  const WeightGradSplit split = choose_weight_grad(s, tile_set<T>(device), device);
  const bool is_split = split.splits > 1;
  auto* weight_parts = static_cast<float*>(scratch);
  const uint64_t weight_bytes =
      is_split ? aligned_bytes(4 * static_cast<uint64_t>(split.splits * s.I * s.O)) : 0;
  auto* bias_parts = weight_parts + weight_bytes / 4;

  ProductCall<WeightGradEpilogue::Params> product;
  const gpu::Operand x = operand(p.x, s.B, s.I);
  const gpu::Operand dz = operand(p.dz, s.B, s.O);
  product.a = s.weight_transposed ? dz : x;
  product.b = s.weight_transposed ? x : dz;
  product.m = s.weight_transposed ? s.O : s.I;
  product.n = s.weight_transposed ? s.I : s.O;
  product.k = s.B;
  product.k_per_split = split.rows_per_split;
  float* out = is_split ? weight_parts : p.d_weight;
  product.epilogue = {out, !is_split && p.accumulates_weight, gpu::has_vector_rows(out, product.n)};

  const ColumnSums<T> sums{s.B,  s.O,        split.bias_rows_per_split,
                           p.dz, bias_parts, gpu::has_vector_rows(p.dz, s.O)};
  const int64_t weight_elems = is_split ? s.I * s.O : 0;
  const int64_t bias_elems = p.d_bias ? s.O : 0;
  const ReduceParts reduce{
      {weight_parts, p.d_weight, weight_elems, split.splits, p.accumulates_weight},
      {bias_parts, p.d_bias, bias_elems, split.bias_splits, p.accumulates_bias},
      ceil_div(weight_elems, kFlatThreads)};
  const int64_t reduce_blocks = reduce.weight_blocks + ceil_div(bias_elems, kFlatThreads);
  return [=](void* stream) {
    launch_weight_product<T>(split.tile, product, split.splits, device, stream);
    if (bias_elems > 0) {
      gpu::launch(column_sums_kernel<T>,
                  {static_cast<unsigned>(ceil_div(s.O, 4 * kColumnQuads)),
                   static_cast<unsigned>(split.bias_splits)},
                  {kFlatThreads}, 0, stream, sums);
    }
    if (reduce_blocks > 0) launch_flat(reduce_parts_kernel, reduce_blocks, stream, reduce);
  };
}

}  // namespace

Launch prepare(const DenseWeightGrad<float>& p, const Device& device, void* scratch) {
  return prepare_weight_grad(p, device, scratch);
}
Launch prepare(const DenseWeightGrad<Bf16>& p, const Device& device, void* scratch) {
  return prepare_weight_grad(p, device, scratch);
}

}  // namespace diabolo::kernels::cuda
