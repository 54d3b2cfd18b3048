// What works row by row: batch gather, scores.
#include <algorithm>
#include <limits>

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/define.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/passes.h"
#include "kernels/gather.h"
#include "kernels/score.h"

namespace diabolo::kernels::cpu {
namespace {

template <class Source, class T>
void gather_one(const Gather<Source, T>& p, int64_t b) {
  const int64_t row = gather_row(p, b);
  T* out = p.out + b * p.D;
  if (row < 0) {
    const T missing = narrow<T>(std::numeric_limits<float>::quiet_NaN());
    for (int64_t d = 0; d < p.D; ++d) out[d] = missing;
    return;
  }
  const Source* source = p.source + row * p.D;
  if (!p.shift) {
    DIABOLO_IVDEP
    for (int64_t d = 0; d < p.D; ++d) out[d] = narrow<T>(static_cast<float>(source[d]));
    return;
  }
  DIABOLO_IVDEP
  for (int64_t d = 0; d < p.D; ++d) {
    out[d] = narrow<T>((static_cast<float>(source[d]) - p.shift[d]) * p.scale[d]);
  }
}

template <class Source, class T>
Launch make(const Gather<Source, T>& p, const CpuFeatures& cpu, void*) {
  return [p, team = Team(cpu, p.B * p.D, pass_cost::kCopy)](void*) {
    for_rows(team, p.B, p.D, [&](int64_t b) { gather_one(p, b); });
  };
}

// The M worst features of a row so far, in the order of is_worse.
class Worst {
 public:
  Worst(uint32_t* index, float* error, int64_t capacity)
      : index_(index), error_(error), capacity_(capacity) {}

  void offer(uint32_t index, float error) {
    if (size_ == capacity_ && !comes_before(index, error, size_ - 1)) return;
    int64_t at = size_ < capacity_ ? size_++ : size_ - 1;
    for (; at > 0 && comes_before(index, error, at - 1); --at) {
      index_[at] = index_[at - 1];
      error_[at] = error_[at - 1];
    }
    index_[at] = index;
    error_[at] = error;
  }

 private:
  bool comes_before(uint32_t index, float error, int64_t place) const {
    return is_worse(error, index, error_[place], index_[place]);
  }

  uint32_t* index_;
  float* error_;
  int64_t capacity_;
  int64_t size_ = 0;
};

template <class T>
void score_one(const RowScore<T>& p, int64_t b) {
  LaneSum sum;
  Worst worst(p.worst_index + b * p.M, p.worst_error + b * p.M, p.M);
  for (int64_t at = 0; at < p.D; at += kBlock) {
    const int64_t length = std::min(kBlock, p.D - at);
    float error[kBlock], t[kBlock];
    widen_block(p.y + b * p.D + at, error, length);
    widen_block(p.target + b * p.D + at, t, length);
    for (int64_t k = 0; k < length; ++k) {
      const float e = error[k] - t[k];
      error[k] = infinite_if_nan(e * e);
    }
    sum.add(error, length);
    if (p.M == 0) continue;
    for (int64_t k = 0; k < length; ++k) worst.offer(static_cast<uint32_t>(at + k), error[k]);
  }
  p.score[b] = sum.total() / static_cast<float>(p.D);
}

template <class T>
Launch make(const RowScore<T>& p, const CpuFeatures& cpu, void*) {
  return [p, team = Team(cpu, p.B * p.D, pass_cost::kLoss)](void*) {
    for_rows(team, p.B, p.D, [&](int64_t b) { score_one(p, b); });
  };
}

}  // namespace

DIABOLO_CPU_DEFINE(Gather<uint8_t, float>)
DIABOLO_CPU_DEFINE(Gather<uint8_t, Bf16>)
DIABOLO_CPU_DEFINE(Gather<float, float>)
DIABOLO_CPU_DEFINE(Gather<float, Bf16>)
DIABOLO_CPU_DEFINE(RowScore<float>)
DIABOLO_CPU_DEFINE(RowScore<Bf16>)

}  // namespace diabolo::kernels::cpu
