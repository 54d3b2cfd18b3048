// The reconstruction error of each row, and the features that it came from.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "kernels/common/kernel.h"
#include "kernels/common/scores.h"

namespace diabolo::kernels {

inline constexpr int kMaxWorst = 32;

// Computes score[b] = 1/D * sum over d of (y - target)^2, and where M > 0 the M features of each
// row with the largest squared error, by (error descending, index ascending). A squared error that
// is NaN counts, and leaves, as +inf, and so does the score of its row: no output is NaN. y and
// target [B,D], score [B], worst_index and worst_error [B,M], M <= min(D, kMaxWorst).
template <class T>
struct RowScore {
  int64_t B = 0, D = 0, M = 0;
  const T* y = nullptr;
  const T* target = nullptr;
  Accum<T>* score = nullptr;
  uint32_t* worst_index = nullptr;
  Accum<T>* worst_error = nullptr;
};

template <class T>
void row_score_reference(const RowScore<T>& p) {
  std::vector<Accum<T>> error(static_cast<size_t>(p.D));
  std::vector<uint32_t> order(static_cast<size_t>(p.D));
  for (int64_t b = 0; b < p.B; ++b) {
    Accum<T> sum(0);
    for (int64_t d = 0; d < p.D; ++d) {
      const Accum<T> e = widen(p.y[b * p.D + d]) - widen(p.target[b * p.D + d]);
      error[d] = infinite_if_nan(Accum<T>(e * e));
      sum += error[d];
    }
    p.score[b] = sum / Accum<T>(static_cast<double>(p.D));
    if (p.M == 0) continue;
    std::iota(order.begin(), order.end(), 0u);
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t c) { return is_worse(error[a], a, error[c], c); });
    for (int64_t m = 0; m < p.M; ++m) {
      p.worst_index[b * p.M + m] = order[m];
      p.worst_error[b * p.M + m] = error[order[m]];
    }
  }
}

DIABOLO_KERNELS(RowScore)

}  // namespace diabolo::kernels
