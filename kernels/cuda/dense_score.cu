// Dense layer with the score of each row: anomaly scoring without storing the reconstruction.
//
// Computes    score[b] = 1/O sum_o (f(x W + b)[b,o] - target[b,o])^2, +inf where that is NaN
// Shapes      x [B,I], W [I,O] or [O,I], bias [O] f32, target [B,O], score [B] f32
// Work split  as dense_forward; in the epilogue one warp sums a row of the tile; a second pass adds
//             the tiles of a row
// Traffic     (B I + I O + B O) sizeof(T) in, 4 B O / 128 for the parts; 2 B I O flops
// Numerics    float; lane, butterfly, then tiles in ascending order. The tile is chosen by O alone,
//             so a row's score does not depend on its batch
// Limits      refuse_dense in choose.cpp
// Source      kernels/dense.h
#include "kernels/cuda/flat.cuh"
#include "kernels/cuda/tile_product.cuh"

namespace diabolo::kernels::cuda {
namespace {

template <class T>
struct ScoreEpilogue {
  struct Params {
    const float* bias;
    const T* target;
    float* parts;  // [B, tile columns]
    int64_t tile_columns;
    Activation activation;
    bool is_wide;
    bool has_vector_bias;
  };
  static constexpr bool kSeesStages = false;
  static constexpr int kSlabCopies = 2;  // squares, and the target

  template <class Loop>
  struct Of {
    GPU_VERB explicit Of(const Params& params) : p(params) {}

    template <class Slab>
    GPU_VERB void begin(const Slab& slab) {
      bias = column_quad<Loop>(p.bias, slab, p.has_vector_bias);
      target.fetch(p.target, slab, 0, p.is_wide);
    }

    template <class Slab>
    GPU_VERB void slab(const Slab& slab) {
      target.put(p.target, slab, p.is_wide);
      gpu::sync_block();
      if (slab.index + 1 < Loop::kSlabs) target.fetch(p.target, slab, slab.index + 1, p.is_wide);
      with_activation(p.activation, [&](auto act) {
        for_each_quad<Loop>(slab, [&](int at, int count) {
          gpu::Quad d = slab_quad(slab.values + at) + bias;
          const gpu::Quad t = slab_quad(slab.beside + at);
          for (int i = 0; i < 4; ++i) {
            d.v[i] = act.forward(d.v[i]) - t.v[i];
            d.v[i] = i < count ? d.v[i] * d.v[i] : 0;
          }
          set_slab_quad(slab.values + at, d);
        });
      });
      gpu::sync_block();
      add_rows(slab);
    }

    // One warp a row: the quads of a lane ascending, then the lanes.
    template <class Slab>
    GPU_VERB void add_rows(const Slab& slab) const {
      constexpr int kWarps = Loop::kThreads / 32;
#pragma unroll
      for (int i = 0; i < Loop::kSlabRows / kWarps; ++i) {
        const int row_of_slab = static_cast<int>(gpu::warp_id()) + i * kWarps;
        const int64_t row = slab.first_row + Loop::tile_row(slab.index, row_of_slab);
        float sum = 0;
#pragma unroll
        for (int first = 0; first < Loop::kN; first += 128) {
          const int column = first + 4 * static_cast<int>(gpu::lane_id());
          if (column >= Loop::kN) continue;
          const gpu::Quad square = slab_quad(slab.values + row_of_slab * kSlabPitch<Loop> + column);
          for (const float v : square.v) sum += v;
        }
        sum = gpu::warp_sum(sum);
        if (gpu::lane_id() == 0 && row < slab.m)
          p.parts[row * p.tile_columns + slab.tile_column] = sum;
      }
    }

    template <class Slab>
    GPU_VERB void finish(const Slab&, float*) const {}

    const Params& p;
    gpu::Quad bias;
    SlabOperand<Loop, T> target;
  };
};

struct FinishScore {
  const float* parts;
  int64_t rows;
  int64_t tile_columns;
  float columns;
  float* score;
};

__global__ void __launch_bounds__(kFlatThreads)
    finish_score_kernel(const __grid_constant__ FinishScore p) {
  const int64_t row = int64_t{blockIdx.x} * kFlatThreads + threadIdx.x;
  if (row >= p.rows) return;
  float sum = 0;
  for (int64_t t = 0; t < p.tile_columns; ++t) sum += p.parts[row * p.tile_columns + t];
  p.score[row] = infinite_if_nan(sum / p.columns);
}

template <class T>
Launch prepare_score(const DenseScore<T>& p, const Device& device, void* scratch) {
  const DenseShape& s = p.shape;
  const TileSize size = choose_score_tile(s.O);
  const int64_t tile_columns = ceil_div(s.O, extents(size).n);
  auto* parts = static_cast<float*>(scratch);
  auto call = layer_product<typename ScoreEpilogue<T>::Params>(s, p.x, p.weight);
  call.epilogue = {p.bias,
                   p.target,
                   parts,
                   tile_columns,
                   p.activation,
                   has_wide_rows(p.target, s.O),
                   gpu::has_vector_rows(p.bias, 4)};
  const FinishScore finish{parts, s.B, tile_columns, static_cast<float>(s.O), p.score};
  const bool is_along_k = s.weight_transposed;
  return [=](void* stream) {
    launch_dense<T, ScoreEpilogue<T>, TileSet::kLargeAndSmall>(call, size, is_along_k, device,
                                                               stream);
    launch_flat(finish_score_kernel, ceil_div(s.B, kFlatThreads), stream, finish);
  };
}

}  // namespace

Launch prepare(const DenseScore<float>& p, const Device& device, void* scratch) {
  return prepare_score(p, device, scratch);
}
Launch prepare(const DenseScore<Bf16>& p, const Device& device, void* scratch) {
  return prepare_score(p, device, scratch);
}

}  // namespace diabolo::kernels::cuda
