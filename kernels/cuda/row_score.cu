// The reconstruction error of each row and the features that it came from.
//
// Computes    score[b] = 1/D sum_d (y - target)^2; the M largest squared errors of the row, in the
//             order of is_worse; +inf where a score or an error is NaN
// Shapes      y and target [B,D], score [B] f32, worst_index and worst_error [B,M], M <= 32
// Work split  one warp a row. The M worst are found one after another: each pass over the row takes
//             the largest error that comes after the previous in that order
// Traffic     2 (M + 1) B D sizeof(T), all but the first pass from cache
// Numerics    float; lanes ascending, then butterfly: independent of the batch
// Limits      B, D >= 1, M <= min(D, 32)
// Source      kernels/score.h, kernels/common/scores.h
#include "kernels/cuda/flat.cuh"
#include "kernels/score.h"

namespace diabolo::kernels::cuda {
namespace {

constexpr int kRowsPerBlock = kFlatThreads / 32;

// A feature's place in the order; index -1 stands for none.
struct Candidate {
  float error;
  int64_t index;
};

GPU_VERB bool comes_before(const Candidate& a, const Candidate& b) {
  return is_worse(a.error, a.index, b.error, b.index);
}

template <class T>
GPU_VERB float squared_error(const RowScore<T>& p, int64_t at) {
  const float d = widen(p.y[at]) - widen(p.target[at]);
  return infinite_if_nan(d * d);
}

template <class T>
GPU_VERB float row_sum(const RowScore<T>& p, int64_t row) {
  float sum = 0;
  for (int64_t d = gpu::lane_id(); d < p.D; d += 32) sum += squared_error(p, row * p.D + d);
  return gpu::warp_sum(sum);
}

// The better of all lanes' candidates, in every lane.
GPU_VERB Candidate best_of_warp(Candidate best) {
  for (unsigned distance = 16; distance > 0; distance /= 2) {
    Candidate other;
    other.error = gpu::shuffle_xor(gpu::kFullWarp, best.error, distance);
    const auto low = static_cast<uint32_t>(best.index);
    const auto high = static_cast<uint32_t>(static_cast<uint64_t>(best.index) >> 32);
    const uint64_t other_low = gpu::shuffle_xor(gpu::kFullWarp, low, distance);
    const uint64_t other_high = gpu::shuffle_xor(gpu::kFullWarp, high, distance);
    other.index = static_cast<int64_t>(other_low | other_high << 32);
    if (other.index >= 0 && (best.index < 0 || comes_before(other, best))) best = other;
  }
  return best;
}

// The first feature of the row after `previous` in the order.
template <class T>
GPU_VERB Candidate next_worst(const RowScore<T>& p, int64_t row, const Candidate& previous) {
  Candidate best{0, -1};
  for (int64_t d = gpu::lane_id(); d < p.D; d += 32) {
    const Candidate here{squared_error(p, row * p.D + d), d};
    const bool is_left = previous.index < 0 || comes_before(previous, here);
    if (is_left && (best.index < 0 || comes_before(here, best))) best = here;
  }
  return best_of_warp(best);
}

// One block a multiprocessor suffices: asked for nothing, ptxas spilled 8 bytes on sm_100.
template <class T>
__global__ void __launch_bounds__(kFlatThreads, 1)
    row_score_kernel(const __grid_constant__ RowScore<T> p) {
  const int64_t row = int64_t{blockIdx.x} * kRowsPerBlock + gpu::warp_id();
  if (row >= p.B) return;  // whole warps: nothing below waits for the block
  const float sum = row_sum(p, row);
  const bool is_writer = gpu::lane_id() == 0;
  if (is_writer) p.score[row] = sum / static_cast<float>(p.D);
  Candidate worst{0, -1};
  for (int64_t m = 0; m < p.M; ++m) {
    worst = next_worst(p, row, worst);
    if (is_writer) p.worst_index[row * p.M + m] = static_cast<uint32_t>(worst.index);
    if (is_writer) p.worst_error[row * p.M + m] = worst.error;
  }
}

template <class T>
Launch prepare_row_score(const RowScore<T>& p) {
  const int64_t blocks = ceil_div(p.B, kRowsPerBlock);
  return [=](void* stream) { launch_flat(row_score_kernel<T>, blocks, stream, p); };
}

}  // namespace

Launch prepare(const RowScore<float>& p, const Device&, void*) {
  return prepare_row_score(p);
}
Launch prepare(const RowScore<Bf16>& p, const Device&, void*) {
  return prepare_row_score(p);
}

}  // namespace diabolo::kernels::cuda
