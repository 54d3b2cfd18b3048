// A running mean over batches, and what is done with it: plain, for host and device.
#pragma once

#include <cstdint>

#include "kernels/common/scalar.h"

namespace diabolo {

// next = mean + (mean of the rows of x - mean) / 8; x [rows,width], mean and next [width].
struct RunningMean {
  int64_t rows = 0, width = 0;
  const float* x = nullptr;
  const float* mean = nullptr;
  float* next = nullptr;
};

DIABOLO_HD inline void running_mean_column(const RunningMean& p, int64_t column) {
  float sum = 0;
  for (int64_t row = 0; row < p.rows; ++row) sum += p.x[row * p.width + column];
  const float mean = p.mean[column];
  p.next[column] = mean + (sum / static_cast<float>(p.rows) - mean) * 0.125f;
}

// y = x - mean; x and y [rows,width], mean [width].
struct Centre {
  int64_t rows = 0, width = 0;
  const float* x = nullptr;
  const float* mean = nullptr;
  float* y = nullptr;
};

DIABOLO_HD inline void centre_column(const Centre& p, int64_t column) {
  for (int64_t row = 0; row < p.rows; ++row)
    p.y[row * p.width + column] = p.x[row * p.width + column] - p.mean[column];
}

// On a CUDA device, for programs that link stateful_part.cu.
void launch(const RunningMean& p, void* stream);
void launch(const Centre& p, void* stream);

}  // namespace diabolo
