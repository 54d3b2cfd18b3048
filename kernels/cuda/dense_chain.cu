// Dense layers one after the other, and the score of the last.
//
// Computes    y = f_n(… f_1(x W_1 + b_1) … W_n + b_n), or 1/O sum_o (y[b,o] - target[b,o])^2
// Shapes      x [B,I], W_k [O_k-1,O_k], bias [O_k] f32, y and target [B,O], score [B] f32;
//             T = f32 or bf16; all widths at most 256
// Work split  grid x: tiles of rows. A block keeps its rows' values of one layer in shared memory,
//             laid out as staged tiles of an A operand; weights are staged beside them, layer after
//             layer, and come from L2 for all blocks but the first. A layer's result replaces the
//             values that it was made from, once all warps have read them
// Traffic     B (I + O) sizeof(T), weights once a block; 2 B sum I_k O_k flops
// Numerics    those of the layers one by one, bit by bit: the same steps over k, each layer rounded
//             to T, a score's columns added up 128 at a time. A row does not depend on its batch
// Limits      refusal in choose_chain.cpp; any width and alignment (narrower copies)
// Source      kernels/dense_chain.h
#include "kernels/dense_chain.h"

#include "kernels/cuda/chain_tiles.h"
#include "kernels/cuda/tile_product.cuh"

namespace diabolo::kernels::cuda {
namespace {

struct ChainStep {
  gpu::MatrixOperand weight;
  const float* bias;
  int columns, depth;
  Activation activation;
  bool has_vector_bias;
};

template <class T>
struct ChainCall {
  gpu::MatrixOperand x;
  int64_t rows;
  int layers;
  ChainStep step[kMostChained];
  T* y;
  const T* target;
  float* score;
  bool is_wide;  // y, or target
};

template <class Loop_, int kStages_, int kResident_>
struct ChainShape {
  using Loop = Loop_;
  using T = typename Loop::Element;
  using Rows = typename Loop::TileA;
  static constexpr int kStages = kStages_, kResident = kResident_;
  static constexpr int kRowTiles = Loop::kN / Loop::kK;
  static constexpr int kRowBytes = kRowTiles * Rows::kBytes;
  static constexpr int kBytes = kRowBytes + kStages * Loop::TileB::kBytes;
  // Slabs lie where the stages were, or for a score, which has no layer behind it, everywhere.
  static_assert(kSlabFloats<Loop> * 4 <= kBytes - kRowBytes);
  static_assert(2 * kSlabFloats<Loop> * 4 <= kBytes);
};

// Stages the tile's rows of x: as many staged tiles as its width takes.
template <class Shape, class Loader>
GPU_VERB void stage_rows(const gpu::MatrixOperand& x, int64_t first_row, int tiles,
                         unsigned char* rows) {
  Loader loader(x, first_row, 0);
#pragma unroll 1
  for (int t = 0; t < tiles; ++t) loader.stage(rows + t * Shape::Rows::kBytes);
}

// The product of the rows that lie in shared memory with one layer's weight.
template <class Shape, class Loader, class Loop>
GPU_VERB void multiply_layer(Loop& loop, const gpu::MatrixOperand& weight, int steps,
                             const unsigned char* rows, unsigned char* stages) {
  constexpr int kDepth = Shape::kStages;
  constexpr int kBytes = Loop::TileB::kBytes;
  Loader loader(weight, 0, 0);
#pragma unroll 1
  for (int s = 0; s < kDepth - 1; ++s) {
    if (s < steps) loader.stage(stages + s * kBytes);
    gpu::cp_async_commit();
  }
  int now = 0;
  int done = (kDepth - 1) * kBytes;
#pragma unroll 1
  for (int step = 0; step < steps; ++step) {
    gpu::cp_async_wait<kDepth - 2>();
    gpu::sync_block();  // this step's weight is there, and the one before has been read
    if (step + kDepth - 1 < steps) loader.stage(stages + done);
    gpu::cp_async_commit();
    loop.multiply(rows + step * Shape::Rows::kBytes, stages + now);
    done = now;
    now = now == (kDepth - 1) * kBytes ? 0 : now + kBytes;
  }
  gpu::cp_async_wait<0>();
  gpu::sync_block();
}

GPU_VERB void put_quad(unsigned char* at, const gpu::Quad& q, float) {
  gpu::store<16>(at, gpu::bit_cast<gpu::Bits<16>>(q));
}
GPU_VERB void put_quad(unsigned char* at, const gpu::Quad& q, Bf16) {
  gpu::store<8>(at, gpu::Bits<8>{{gpu::pack_bf16(q.v[0], q.v[1]), gpu::pack_bf16(q.v[2], q.v[3])}});
}

// A slab's values to where the next layer reads its rows; zeros beyond what the layer has.
template <class Shape, class Slab>
GPU_VERB void keep_slab(const Slab& slab, unsigned char* rows) {
  using Loop = typename Shape::Loop;
  using Rows = typename Shape::Rows;
  using Mine = QuadColumn<Loop>;
  const int column = Mine::column();
  unsigned char* const tile = rows + column / Loop::kK * Rows::kBytes;
  const int in_tile = column % Loop::kK;
  for_each_quad<Loop>(slab, [&](int at, int count) {
    gpu::Quad q = slab_quad(slab.values + at);
#pragma unroll
    for (int i = 0; i < 4; ++i) q.v[i] = i < count ? q.v[i] : 0;
    const int row = Loop::tile_row(slab.index, at / kSlabPitch<Loop>);
    put_quad(tile + Rows::element_at(row, in_tile), q, typename Shape::T{});
  });
}

// The rows of a slab of squares added up as dense_score does it: 128 columns, one warp a row, the
// quads of a lane ascending, then the lanes; then the parts.
template <class Loop, class Slab>
GPU_VERB void score_rows(const Slab& slab, float* score) {
  constexpr int kWarps = Loop::kThreads / 32;
#pragma unroll 1
  for (int i = 0; i < Loop::kSlabRows / kWarps; ++i) {
    const int row_of_slab = static_cast<int>(gpu::warp_id()) + i * kWarps;
    const int64_t row = slab.first_row + Loop::tile_row(slab.index, row_of_slab);
    float sum = 0;
#pragma unroll
    for (int first = 0; first < Loop::kN; first += 128) {
      const int column = first + 4 * static_cast<int>(gpu::lane_id());
      float part = 0;
      if (column < Loop::kN) {
        const gpu::Quad square = slab_quad(slab.values + row_of_slab * kSlabPitch<Loop> + column);
        for (const float v : square.v) part += v;
      }
      sum += gpu::warp_sum(part);
    }
    if (gpu::lane_id() == 0 && row < slab.m)
      score[row] = infinite_if_nan(sum / static_cast<float>(slab.n));
  }
}

template <class Shape, class Slab, class Loop, class Call>
GPU_VERB void finish_layer(Loop& loop, Slab& slab, const Call& p, const ChainStep& step,
                           bool is_last, unsigned char* rows) {
  const gpu::Quad bias = column_quad<Loop>(step.bias, slab, step.has_vector_bias);
#pragma unroll 1
  for (int i = 0; i < Loop::kSlabs; ++i) {
    slab.index = i;
    loop.write_slab(i, slab.values, kSlabPitch<Loop>);
    gpu::sync_block();
    with_activation(step.activation, [&](auto act) {
      for_each_quad<Loop>(slab, [&](int at, int) {
        gpu::Quad z = slab_quad(slab.values + at) + bias;
        for (float& v : z.v) v = act.forward(v);
        set_slab_quad(slab.values + at, z);
      });
    });
    gpu::sync_block();
    if (is_last) {
      store_slab<Loop>(p.y, slab, slab.values, p.is_wide);
    } else {
      keep_slab<Shape>(slab, rows);
    }
    gpu::sync_block();
  }
}

template <class Slab, class Loop, class Call>
GPU_VERB void score_layer(Loop& loop, Slab& slab, const Call& p, const ChainStep& step) {
  using T = typename Loop::Element;
  const gpu::Quad bias = column_quad<Loop>(step.bias, slab, step.has_vector_bias);
  SlabOperand<Loop, T> target;
#pragma unroll 1
  for (int i = 0; i < Loop::kSlabs; ++i) {
    slab.index = i;
    target.fetch(p.target, slab, i, p.is_wide);
    loop.write_slab(i, slab.values, kSlabPitch<Loop>);
    target.put(p.target, slab, p.is_wide);
    gpu::sync_block();
    with_activation(step.activation, [&](auto act) {
      for_each_quad<Loop>(slab, [&](int at, int count) {
        gpu::Quad d = slab_quad(slab.values + at) + bias;
        const gpu::Quad t = slab_quad(slab.beside + at);
        for (int e = 0; e < 4; ++e) {
          d.v[e] = act.forward(d.v[e]) - t.v[e];
          d.v[e] = e < count ? d.v[e] * d.v[e] : 0;
        }
        set_slab_quad(slab.values + at, d);
      });
    });
    gpu::sync_block();
    score_rows<Loop>(slab, p.score);
    gpu::sync_block();
  }
}

template <class Shape>
__global__ void __launch_bounds__(Shape::Loop::kThreads, Shape::kResident)
    dense_chain_kernel(const __grid_constant__ ChainCall<typename Shape::T> p) {
  using Loop = typename Shape::Loop;
  using T = typename Shape::T;
  using Operand = gpu::MatrixOperand;
  GPU_DYN_SHARED(unsigned char, rows);
  unsigned char* const stages = rows + Shape::kRowBytes;
  const int64_t first_row = int64_t{blockIdx.x} * Loop::kM;
  const int x_tiles = (p.step[0].depth + Loop::kK - 1) / Loop::kK;
  if (p.x.is_wide()) {
    using Loader = typename Operand::template Loader<typename Shape::Rows, T, Loop::kThreads>;
    stage_rows<Shape, Loader>(p.x, first_row, x_tiles, rows);
  } else {
    using Loader = typename Operand::template NarrowLoader<typename Shape::Rows, T, Loop::kThreads>;
    stage_rows<Shape, Loader>(p.x, first_row, x_tiles, rows);
  }
  gpu::cp_async_commit();  // older than any weight: there when the first of them is
#pragma unroll 1
  for (int k = 0; k < p.layers; ++k) {
    const ChainStep& step = p.step[k];
    Loop loop;
    loop.clear();
    const int steps = (step.depth + Loop::kK - 1) / Loop::kK;
    using TileB = typename Loop::TileB;
    if (step.weight.is_wide()) {
      using Loader = typename Operand::template Loader<TileB, T, Loop::kThreads>;
      multiply_layer<Shape, Loader>(loop, step.weight, steps, rows, stages);
    } else {
      using Loader = typename Operand::template NarrowLoader<TileB, T, Loop::kThreads>;
      multiply_layer<Shape, Loader>(loop, step.weight, steps, rows, stages);
    }
    const bool is_last = k + 1 == p.layers;
    const bool is_score = is_last && p.score != nullptr;
    auto* const values = reinterpret_cast<float*>(is_score ? rows : stages);
    const RowMajor output{step.columns};
    Slab<RowMajor> slab{
        values, values + kSlabFloats<Loop>, 0, first_row, 0, p.rows, step.columns, 0, 0, 0, output};
    if (is_score) {
      score_layer(loop, slab, p, step);
    } else {
      finish_layer<Shape>(loop, slab, p, step, is_last, rows);
    }
  }
}

// Weights are stored along n, rows along k.
template <ProductMath kMath, ChainTile kTile>
struct ChainLoopOf {
  static constexpr int kWarpsN = kTile.threads / 64;
  using Type = gpu::MmaLoop<std::conditional_t<kMath == ProductMath::kBf16, Bf16, float>, kTile.m,
                            kTile.n, kTile.depth, 2, kWarpsN, Along::kDepth, Along::kWidth>;
};
template <ChainTile kTile>
struct ChainLoopOf<ProductMath::kF32, kTile> {
  using Type = gpu::FfmaLoop<kTile.m, kTile.n, kTile.depth, 8, kTile.threads / 8, Along::kDepth,
                             Along::kWidth>;
};

template <ProductMath kMath, ChainTile kTile, class T>
void launch_chain(const ChainCall<T>& call, void* stream) {
  using Shape = ChainShape<typename ChainLoopOf<kMath, kTile>::Type, kTile.stages, kTile.resident>;
  static_assert(Shape::kBytes == chain_bytes(kTile, sizeof(T)));
  gpu::launch(dense_chain_kernel<Shape>, {static_cast<unsigned>(ceil_div(call.rows, kTile.m))},
              {static_cast<unsigned>(kTile.threads)}, Shape::kBytes, stream, call);
}

// Launches with that one of the list's tiles which was chosen.
template <ProductMath kMath, const auto& kTiles, class T, std::size_t... kAt>
void launch_chosen(const ChainTile& tile, const ChainCall<T>& call, void* stream,
                   std::index_sequence<kAt...>) {
  ((tile == kTiles[kAt] ? launch_chain<kMath, kTiles[kAt]>(call, stream) : void()), ...);
}

template <class T>
ChainCall<T> call_of(const DenseChain<T>& p) {
  ChainCall<T> call{};
  call.x = operand(p.x, p.B, p.I);
  call.rows = p.B;
  call.layers = p.layers;
  for (int k = 0; k < p.layers; ++k) {
    const ChainedLayer<T>& layer = p.layer[k];
    const DenseShape s = p.shape(k);
    call.step[k] = {
        operand(layer.weight, s.I, s.O), layer.bias,       static_cast<int>(s.O),
        static_cast<int>(s.I),           layer.activation, gpu::has_vector_rows(layer.bias, 4)};
  }
  call.y = p.y;
  call.target = p.target;
  call.score = p.score;
  const int64_t columns = p.layer[p.layers - 1].O;
  call.is_wide = has_wide_rows(p.y, columns) && has_wide_rows(p.target, columns);
  return call;
}

template <class T>
Launch prepare_chain(const DenseChain<T>& p, const Device& device) {
  const ChainTile tile = choose_chain(p, device).tile;
  return [=, call = call_of(p)](void* stream) {
    with_math<T>(device, [&]<ProductMath kMath>() {
      if constexpr (kMath == ProductMath::kBf16) {
        launch_chosen<kMath, kBf16ChainTiles>(
            tile, call, stream, std::make_index_sequence<std::size(kBf16ChainTiles)>());
      } else {
        launch_chosen<kMath, kFloatChainTiles>(
            tile, call, stream, std::make_index_sequence<std::size(kFloatChainTiles)>());
      }
    });
  };
}

}  // namespace

Launch prepare(const DenseChain<float>& p, const Device& device, void*) {
  return prepare_chain(p, device);
}
Launch prepare(const DenseChain<Bf16>& p, const Device& device, void*) {
  return prepare_chain(p, device);
}

}  // namespace diabolo::kernels::cuda
