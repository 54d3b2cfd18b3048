// The weight gradient's side of a product, for a launch of its own and for one with the data
// gradient: its epilogue, its operands, and what adds its parts up.
#pragma once

#include <stdexcept>

#include "kernels/cuda/tile_product.cuh"

namespace diabolo::kernels::cuda {

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

void launch_reduce_parts(const ReduceParts& parts, void* stream);

template <class T>
MatrixCall<WeightGradEpilogue::Params> weight_product(const DenseWeightGrad<T>& p,
                                                      const ProductChoice& split, void* scratch) {
  if (p.leaves_parts && (p.accumulates_weight || p.accumulates_bias))
    throw std::logic_error("weight gradient: parts that are left add to nothing");
  const DenseShape& s = p.shape;
  MatrixCall<WeightGradEpilogue::Params> call;
  const gpu::MatrixOperand x = operand(p.x, s.B, s.I);
  const gpu::MatrixOperand dz = operand(p.dz, s.B, s.O);
  call.a = s.weight_transposed ? dz : x;
  call.b = s.weight_transposed ? x : dz;
  const GemmShape shape = weight_grad_shape(s);
  call.m = shape.m;
  call.n = shape.n;
  call.k = shape.k;
  call.output = {call.n};
  call.k_per_split = split.k_per_split;
  const bool is_cut = split.splits > 1;
  auto* weight_parts = static_cast<float*>(scratch);
  float* weight = is_cut ? weight_parts : p.d_weight;
  float* bias = is_cut ? weight_parts + weight_part_bytes(s, split) / 4 : p.d_bias;
  call.epilogue = {weight,
                   s.I * s.O,
                   !is_cut && p.accumulates_weight,
                   has_wide_rows(weight, call.n),
                   p.d_bias ? bias : nullptr,
                   p.d_bias ? s.O : 0,
                   !is_cut && p.accumulates_bias,
                   s.weight_transposed};
  return call;
}

// What follows the product: nothing, if the batch is not cut or the parts' reader adds them up.
template <class T>
Launch adding_parts(const DenseWeightGrad<T>& p, const ProductChoice& split, void* scratch) {
  if (split.splits == 1 || p.leaves_parts) return [](void*) {};
  const DenseShape& s = p.shape;
  const auto* weight_parts = static_cast<const float*>(scratch);
  const ReduceParts reduce{{weight_parts, p.d_weight, s.I * s.O, p.accumulates_weight},
                           {weight_parts + weight_part_bytes(s, split) / 4, p.d_bias,
                            p.d_bias ? s.O : 0, p.accumulates_bias},
                           split.splits,
                           ceil_div(s.I * s.O, kFlatThreads)};
  return [=](void* stream) { launch_reduce_parts(reduce, stream); };
}

}  // namespace diabolo::kernels::cuda
