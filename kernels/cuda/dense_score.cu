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
    bool has_vector_rows;
    bool has_vector_bias;
  };

  static constexpr bool kSeesStages = false;
  static constexpr int kMinBlocksOfLarge = 1;
  static constexpr int kSlabCopies = 1;

  GPU_VERB explicit ScoreEpilogue(const Params& params) : p(params) {}

  // Sum over this lane's quads of one row of the slab.
  template <class Loop, class Slab, class Act>
  GPU_VERB float lane_sum(const Slab& slab, const float* values, int64_t row, Act act) const {
    float sum = 0;
    for (int quad = static_cast<int>(gpu::lane_id()); quad < Loop::kN / 4; quad += 32) {
      const int64_t column = slab.first_column + quad * 4;
      if (row >= slab.m || column >= slab.n) continue;
      const int count = slab.n - column < 4 ? static_cast<int>(slab.n - column) : 4;
      const bool is_vector = p.has_vector_rows && count == 4;
      gpu::Quad z = gpu::bit_cast<gpu::Quad>(gpu::load<16>(values + quad * 4));
      if (p.bias) {
        const gpu::Quad bias =
            gpu::load_quad(p.bias + column, count, p.has_vector_bias && count == 4);
        for (int i = 0; i < 4; ++i) z.v[i] += bias.v[i];
      }
      const gpu::Quad target =
          gpu::load_quad(p.target + slab.output.row_at(row) + column, count, is_vector);
      for (int i = 0; i < 4; ++i) {
        const float d = act.forward(z.v[i]) - target.v[i];
        if (i < count) sum += d * d;
      }
    }
    return sum;
  }

  template <class Loop, class Slab>
  GPU_VERB void slab(const Slab& slab) const {
    with_activation(p.activation, [&](auto act) {
      for (int r = static_cast<int>(gpu::warp_id()); r < Loop::kSlabRows;
           r += Loop::kThreads / 32) {
        const int64_t row = slab.first_row + Loop::tile_row(slab.index, r);
        const float sum =
            gpu::warp_sum(lane_sum<Loop>(slab, slab.values + r * slab.pitch, row, act));
        if (gpu::lane_id() == 0 && row < slab.m) {
          p.parts[row * p.tile_columns + slab.tile_column] = sum;
        }
      }
    });
  }

  template <class Loop, class Slab>
  GPU_VERB void finish(const Slab&, float*) const {}

  const Params& p;
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
  const int64_t tile_columns = ceil_div(s.O, extent(size));
  auto* parts = static_cast<float*>(scratch);
  auto call = layer_product<typename ScoreEpilogue<T>::Params>(s, p.x, p.weight);
  call.epilogue = {p.bias,
                   p.target,
                   parts,
                   tile_columns,
                   p.activation,
                   gpu::has_vector_rows(p.target, s.O),
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
