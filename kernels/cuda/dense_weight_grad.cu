// Dense weight and bias gradient.
//
// Computes    d_weight[i,o] = sum_b x[b,i] dz[b,o]; d_bias[o] = sum_b dz[b,o]; each added to what
//             is there if its flag says so
// Shapes      x [B,I], dz [B,O], d_weight [I,O] or [O,I] f32, d_bias [O] f32
// Work split  tile_product.cuh with m = I, n = O, k = B (the operands' rows), or m = O, n = I where
//             the weight is stored [O,I]. The first row (or column) of tiles also sums the columns
//             of dz that it stages: the bias. Where the tiles are too few for the device, the batch
//             is cut (choose_weight_grad): parts to scratch, then one pass adds them in order
// Traffic     (B I + B O) sizeof(T) + 4 I O (2 splits + 1); 2 B I O flops
// Numerics    float sums over b ascending within a part, parts in ascending order: the same bits
//             for one shape and device
// Limits      refuse_dense in choose.cpp
// Source      kernels/dense.h
#include "kernels/cuda/flat.cuh"
#include "kernels/cuda/tile_product.cuh"

namespace diabolo::kernels::cuda {
namespace {

struct WeightGradEpilogue {
  struct Params {
    float* out;  // [splits, elems]
    int64_t elems;
    bool accumulates;
    bool is_wide;
    float* bias_out;  // [splits, O], or null
    int64_t bias_elems;
    bool accumulates_bias;
    bool dz_is_a;
  };
  static constexpr bool kSeesStages = true;
  static constexpr int kSlabCopies = 2;  // the sum, and what it is added to

  template <class Loop>
  struct Of {
    using Element = typename Loop::Element;

    GPU_VERB explicit Of(const Params& params) : p(params) {}

    // True in the blocks that sum the columns of dz: one row (or column) of tiles sees all of it.
    template <class Slab>
    GPU_VERB bool sums_bias(const Slab& slab) const {
      return p.bias_out != nullptr && (p.dz_is_a ? slab.first_column : slab.first_row) == 0;
    }

    // How the threads share a staged tile of dz: each takes one word of a row (two columns of bf16)
    // in every kGroups'th row.
    template <class Tile>
    struct Share {
      static constexpr int kPerWord = 4 / static_cast<int>(sizeof(Element));
      static constexpr int kColumns = Tile::kWide;
      static constexpr int kWords = kColumns / kPerWord;
      static constexpr int kGroups = Loop::kThreads / kWords;
      static_assert(Loop::kThreads % kWords == 0 && Tile::kDeep % kGroups == 0);
      static_assert(kColumns <= Loop::kThreads);
      GPU_VERB static int group() { return static_cast<int>(threadIdx.x) / kWords; }
      GPU_VERB static int column() { return static_cast<int>(threadIdx.x) % kWords * kPerWord; }
    };

    template <class Slab>
    GPU_VERB void see(const Slab& slab, const unsigned char* a, const unsigned char* b) {
      if (!sums_bias(slab)) return;
      if (p.dz_is_a) {
        add_columns<typename Loop::TileA>(a);
      } else {
        add_columns<typename Loop::TileB>(b);
      }
    }

    template <class Tile>
    GPU_VERB void add_columns(const unsigned char* tile) {
      using Mine = Share<Tile>;
#pragma unroll
      for (int k = 0; k < Tile::kDeep; k += Mine::kGroups) {
        const std::uint32_t word =
            gpu::load<4>(tile + Tile::element_at(k + Mine::group(), Mine::column())).word[0];
        if constexpr (Mine::kPerWord == 2) {
          column_sum[0] += gpu::low_bf16(word);
          column_sum[1] += gpu::high_bf16(word);
        } else {
          column_sum[0] += gpu::bit_cast<float>(word);
        }
      }
    }

    template <class Slab>
    GPU_VERB float* out(const Slab& slab) const {
      return p.out + slab.split * p.elems;
    }

    template <class Slab>
    GPU_VERB void begin(const Slab& slab) {
      if (p.accumulates) old.fetch(out(slab), slab, 0, p.is_wide);
    }

    template <class Slab>
    GPU_VERB void slab(const Slab& slab) {
      if (p.accumulates) {
        old.put(out(slab), slab, p.is_wide);
        gpu::sync_block();
        if (slab.index + 1 < Loop::kSlabs) old.fetch(out(slab), slab, slab.index + 1, p.is_wide);
        for_each_quad<Loop>(slab, [&](int at, int) {
          set_slab_quad(slab.values + at,
                        slab_quad(slab.values + at) + slab_quad(slab.beside + at));
        });
      }
      gpu::sync_block();
      store_slab<Loop>(out(slab), slab, slab.values, p.is_wide);
    }

    template <class Slab>
    GPU_VERB void finish(const Slab& slab, float*) const {
      if (!sums_bias(slab)) return;
      if (p.dz_is_a) {
        store_bias<typename Loop::TileA>(slab, slab.first_row);
      } else {
        store_bias<typename Loop::TileB>(slab, slab.first_column);
      }
    }

    // The groups' sums of a column, in their order.
    template <class Tile, class Slab>
    GPU_VERB void store_bias(const Slab& slab, int64_t first) const {
      using Mine = Share<Tile>;
      for (int i = 0; i < Mine::kPerWord; ++i)
        slab.values[Mine::group() * Mine::kColumns + Mine::column() + i] = column_sum[i];
      gpu::sync_block();
      const auto column = static_cast<int>(threadIdx.x);
      if (column >= Mine::kColumns || first + column >= p.bias_elems) return;
      float sum = 0;
      for (int g = 0; g < Mine::kGroups; ++g) sum += slab.values[g * Mine::kColumns + column];
      float* bias = p.bias_out + slab.split * p.bias_elems + first + column;
      *bias = p.accumulates_bias ? *bias + sum : sum;
    }

    const Params& p;
    SlabOperand<Loop, float> old;
    float column_sum[2] = {0, 0};  // of this thread's columns of dz, over its rows
  };
};

// out[k] = sum over splits of parts[split, k] (+ out[k]), for the weight and for the bias, in one
// launch: blocks below `weight_blocks` take the weight.
struct AddParts {
  const float* parts;
  float* out;
  int64_t elems;
  bool accumulates;
};
struct ReduceParts {
  AddParts weight, bias;
  int64_t splits;
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
  for (int64_t split = 0; split < p.splits; ++split) sum += add.parts[split * add.elems + k];
  add.out[k] = add.accumulates ? add.out[k] + sum : sum;
}

template <class T>
void launch_weight_product(TileSize size, const MatrixCall<WeightGradEpilogue::Params>& call,
                           int64_t splits, const Device& device, void* stream) {
  with_math<T>(device, [&]<ProductMath kMath>() {
    launch_product<kMath, Along::kWidth, Along::kWidth, WeightGradEpilogue, TileSet::kAll>(
        size, call, splits, stream);
  });
}

template <class T>
MatrixCall<WeightGradEpilogue::Params> weight_product(const DenseWeightGrad<T>& p,
                                                      const ProductChoice& split) {
  const DenseShape& s = p.shape;
  MatrixCall<WeightGradEpilogue::Params> call;
  const gpu::MatrixOperand x = operand(p.x, s.B, s.I);
  const gpu::MatrixOperand dz = operand(p.dz, s.B, s.O);
  call.a = s.weight_transposed ? dz : x;
  call.b = s.weight_transposed ? x : dz;
  call.m = s.weight_transposed ? s.O : s.I;
  call.n = s.weight_transposed ? s.I : s.O;
  call.k = s.B;
  call.output = {call.n};
  call.k_per_split = split.k_per_split;
  return call;
}

template <class T>
Launch prepare_weight_grad(const DenseWeightGrad<T>& p, const Device& device, void* scratch) {
  const DenseShape& s = p.shape;
  const ProductChoice split = choose_weight_grad<T>(s, device);
  const int64_t bias_elems = p.d_bias ? s.O : 0;
  auto product = weight_product(p, split);
  if (split.splits == 1) {
    product.epilogue = {
        p.d_weight, s.I * s.O,  p.accumulates_weight, has_wide_rows(p.d_weight, product.n),
        p.d_bias,   bias_elems, p.accumulates_bias,   s.weight_transposed};
    return [=](void* stream) { launch_weight_product<T>(split.tile, product, 1, device, stream); };
  }
  auto* weight_parts = static_cast<float*>(scratch);
  auto* bias_parts = weight_parts + weight_part_bytes(s, split) / 4;
  product.epilogue = {weight_parts,
                      s.I * s.O,
                      false,
                      has_wide_rows(weight_parts, product.n),
                      p.d_bias ? bias_parts : nullptr,
                      bias_elems,
                      false,
                      s.weight_transposed};
  const ReduceParts reduce{{weight_parts, p.d_weight, s.I * s.O, p.accumulates_weight},
                           {bias_parts, p.d_bias, bias_elems, p.accumulates_bias},
                           split.splits,
                           ceil_div(s.I * s.O, kFlatThreads)};
  const int64_t reduce_blocks = reduce.weight_blocks + ceil_div(bias_elems, kFlatThreads);
  return [=](void* stream) {
    launch_weight_product<T>(split.tile, product, split.splits, device, stream);
    launch_flat(reduce_parts_kernel, reduce_blocks, stream, reduce);
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
