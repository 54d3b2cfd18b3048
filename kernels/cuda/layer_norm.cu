// Layer normalisation and its gradients.
//
// Computes    y = gain n + bias, n = (x - mean) / sqrt(variance + epsilon); dx, d_gain, d_bias
// Shapes      x, y, dy, dx [B,D] T; gain, bias, d_gain, d_bias [D] f32
// Work split  a row: one warp. d_gain and d_bias: a block takes 32 columns of 64 rows, its eight
//             warps every eighth row; a last pass adds the parts
// Traffic     forward 3 reads and a write of [B,D], all but the first from cache; gradient 8 reads
//             (of x and dy, the first two from memory) and a write: memory
// Numerics    float; lanes ascending, then butterfly: a row's bits do not depend on the batch.
//             Columns: rows ascending per warp, warps ascending, parts ascending
// Limits      B, D >= 1, B < 2^31
// Source      kernels/layer_norm.h
#include "kernels/layer_norm.h"

#include "kernels/cuda/flat.cuh"

namespace diabolo::kernels::cuda {
namespace {

constexpr int kWarps = kFlatThreads / 32;

// Calls f(first column, count) for the quads of a row that fall to this lane.
template <class F>
GPU_VERB void for_each_quad(int64_t D, F&& f) {
  for (int64_t d = 4 * int64_t{gpu::lane_id()}; d < D; d += 128) {
    f(d, D - d < 4 ? static_cast<int>(D - d) : 4);
  }
}

template <class T>
GPU_VERB RowMoments<float> moments_of(const T* x, int64_t D, float epsilon, bool is_vector) {
  float sum = 0;
  for_each_quad(D, [&](int64_t d, int count) {
    const gpu::Quad q = gpu::load_quad(x + d, count, is_vector);
    for (int i = 0; i < 4; ++i) sum += q.v[i];
  });
  const float mean = gpu::warp_sum(sum) / static_cast<float>(D);
  float squares = 0;
  for_each_quad(D, [&](int64_t d, int count) {
    const gpu::Quad q = gpu::load_quad(x + d, count, is_vector);
    for (int i = 0; i < 4; ++i) {
      const float e = i < count ? q.v[i] - mean : 0.0f;
      squares += e * e;
    }
  });
  const float variance = gpu::warp_sum(squares) / static_cast<float>(D);
  return {mean, 1.0f / sqrt_of(variance + epsilon)};
}

template <class P>
struct Rows {
  P p;
  bool is_vector;
  float* moments;  // [B,2], of the gradient
};

template <class T>
__global__ void __launch_bounds__(kFlatThreads)
    layer_norm_kernel(const __grid_constant__ Rows<LayerNorm<T>> call) {
  const auto& p = call.p;
  const int64_t b = int64_t{blockIdx.x} * kWarps + gpu::warp_id();
  if (b >= p.B) return;  // whole warps: nothing below waits for the block
  const T* x = p.x + b * p.D;
  const RowMoments<float> row = moments_of(x, p.D, p.epsilon, call.is_vector);
  for_each_quad(p.D, [&](int64_t d, int count) {
    gpu::Quad q = gpu::load_quad(x + d, count, call.is_vector);
    const gpu::Quad gain = gpu::load_quad(p.gain + d, count, call.is_vector);
    const gpu::Quad bias = gpu::load_quad(p.bias + d, count, call.is_vector);
    for (int i = 0; i < 4; ++i) q.v[i] = (q.v[i] - row.mean) * row.inverse * gain.v[i] + bias.v[i];
    gpu::store_quad(p.y + b * p.D + d, q, count, call.is_vector);
  });
}

// Leaves the moments of every row, and dx where it is wanted.
template <class T>
__global__ void __launch_bounds__(kFlatThreads)
    layer_norm_data_grad_kernel(const __grid_constant__ Rows<LayerNormGrad<T>> call) {
  const auto& p = call.p;
  const int64_t b = int64_t{blockIdx.x} * kWarps + gpu::warp_id();
  if (b >= p.B) return;
  const T *x = p.x + b * p.D, *dy = p.dy + b * p.D;
  const RowMoments<float> row = moments_of(x, p.D, p.epsilon, call.is_vector);
  if (gpu::lane_id() == 0) {
    call.moments[2 * b] = row.mean;
    call.moments[2 * b + 1] = row.inverse;
  }
  if (!p.dx) return;
  const auto load = [&](int64_t d, int count, gpu::Quad& g) {
    gpu::Quad n = gpu::load_quad(x + d, count, call.is_vector);
    g = gpu::load_quad(dy + d, count, call.is_vector);
    const gpu::Quad gain = gpu::load_quad(p.gain + d, count, call.is_vector);
    for (int i = 0; i < 4; ++i) {
      n.v[i] = (n.v[i] - row.mean) * row.inverse;
      g.v[i] *= gain.v[i];
    }
    return n;
  };
  float sum_g = 0, sum_gn = 0;
  gpu::Quad g;
  for_each_quad(p.D, [&](int64_t d, int count) {
    const gpu::Quad n = load(d, count, g);
    for (int i = 0; i < 4; ++i) {
      sum_g += g.v[i];
      sum_gn += g.v[i] * n.v[i];
    }
  });
  const float mean_g = gpu::warp_sum(sum_g) / static_cast<float>(p.D);
  const float mean_gn = gpu::warp_sum(sum_gn) / static_cast<float>(p.D);
  for_each_quad(p.D, [&](int64_t d, int count) {
    gpu::Quad n = load(d, count, g);
    for (int i = 0; i < 4; ++i) n.v[i] = (g.v[i] - mean_g - n.v[i] * mean_gn) * row.inverse;
    gpu::store_quad(p.dx + b * p.D + d, n, count, call.is_vector);
  });
}

template <class T>
struct Columns {
  LayerNormGrad<T> p;
  const float* moments;
  float* parts;  // [parts, 2, D]: of gain, of bias
};

template <class T>
__global__ void __launch_bounds__(kFlatThreads)
    layer_norm_columns_kernel(const __grid_constant__ Columns<T> call) {
  GPU_SHARED(float, of_gain, kFlatThreads);
  GPU_SHARED(float, of_bias, kFlatThreads);
  const auto& p = call.p;
  const int64_t column_blocks = ceil_div(p.D, 32);
  const int64_t part = blockIdx.x / column_blocks;
  const int64_t d = blockIdx.x % column_blocks * 32 + gpu::lane_id();
  const int64_t begin = part * kLayerNormPartRows;
  const int64_t end = begin + kLayerNormPartRows < p.B ? begin + kLayerNormPartRows : p.B;
  float gain = 0, bias = 0;
  for (int64_t b = begin + gpu::warp_id(); b < end && d < p.D; b += kWarps) {
    const float dy = widen(p.dy[b * p.D + d]);
    gain += dy * ((widen(p.x[b * p.D + d]) - call.moments[2 * b]) * call.moments[2 * b + 1]);
    bias += dy;
  }
  of_gain[threadIdx.x] = gain;
  of_bias[threadIdx.x] = bias;
  gpu::sync_block();
  if (gpu::warp_id() != 0 || d >= p.D) return;
  for (int w = 1; w < kWarps; ++w) {
    gain += of_gain[32 * w + threadIdx.x];
    bias += of_bias[32 * w + threadIdx.x];
  }
  call.parts[part * 2 * p.D + d] = gain;
  call.parts[part * 2 * p.D + p.D + d] = bias;
}

struct Finish {
  const float* parts;
  int64_t count, D;
  bool accumulates_gain, accumulates_bias;
  float* d_gain;
  float* d_bias;
};

__global__ void __launch_bounds__(kFlatThreads)
    layer_norm_finish_kernel(const __grid_constant__ Finish call) {
  const int64_t k = int64_t{blockIdx.x} * kFlatThreads + threadIdx.x;
  if (k >= 2 * call.D) return;
  float sum = 0;
  for (int64_t part = 0; part < call.count; ++part) sum += call.parts[part * 2 * call.D + k];
  const bool is_gain = k < call.D;
  float* out = is_gain ? call.d_gain + k : call.d_bias + (k - call.D);
  *out = (is_gain ? call.accumulates_gain : call.accumulates_bias) ? *out + sum : sum;
}

template <class T>
Launch prepare_forward(const LayerNorm<T>& p) {
  const bool is_vector = gpu::has_vector_rows(p.x, p.D) && gpu::has_vector_rows(p.y, p.D) &&
                         gpu::has_vector_rows(p.gain, p.D) && gpu::has_vector_rows(p.bias, p.D);
  const Rows<LayerNorm<T>> call{p, is_vector, nullptr};
  return
      [=](void* stream) { launch_flat(layer_norm_kernel<T>, ceil_div(p.B, kWarps), stream, call); };
}

template <class T>
Launch prepare_grad(const LayerNormGrad<T>& p, void* scratch) {
  const bool is_vector = gpu::has_vector_rows(p.x, p.D) && gpu::has_vector_rows(p.dy, p.D) &&
                         gpu::has_vector_rows(p.gain, p.D) && gpu::has_vector_rows(p.dx, p.D);
  auto* moments = static_cast<float*>(scratch);
  float* parts = moments + layer_norm_moment_bytes(p.B) / sizeof(float);
  const Rows<LayerNormGrad<T>> rows{p, is_vector, moments};
  const Columns<T> columns{p, moments, parts};
  const int64_t count = layer_norm_parts(p.B);
  const Finish finish{parts,    count,   p.D, p.accumulates_gain, p.accumulates_bias,
                      p.d_gain, p.d_bias};
  return [=](void* stream) {
    launch_flat(layer_norm_data_grad_kernel<T>, ceil_div(p.B, kWarps), stream, rows);
    launch_flat(layer_norm_columns_kernel<T>, count * ceil_div(p.D, 32), stream, columns);
    launch_flat(layer_norm_finish_kernel, ceil_div(2 * p.D, kFlatThreads), stream, finish);
  };
}

}  // namespace

Launch prepare(const LayerNorm<float>& p, const Device&, void*) {
  return prepare_forward(p);
}
Launch prepare(const LayerNorm<Bf16>& p, const Device&, void*) {
  return prepare_forward(p);
}
Launch prepare(const LayerNormGrad<float>& p, const Device&, void* scratch) {
  return prepare_grad(p, scratch);
}
Launch prepare(const LayerNormGrad<Bf16>& p, const Device&, void* scratch) {
  return prepare_grad(p, scratch);
}

}  // namespace diabolo::kernels::cuda
