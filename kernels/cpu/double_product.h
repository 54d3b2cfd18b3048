// Products of matrices of doubles by own loops, for statistics beside the networks (PCA).
#pragma once

#include <cstdint>
#include <functional>

#include "kernels/cpu/isa.h"

namespace diabolo::kernels::cpu {

// A matrix in memory, row- or column-major or a part of one: element (i, j) at
// data[i * row_stride + j * col_stride].
template <class T>
struct StridedMatrix {
  T* data = nullptr;
  int64_t rows = 0, cols = 0;
  int64_t row_stride = 0, col_stride = 0;

  StridedMatrix transposed() const { return {data, cols, rows, col_stride, row_stride}; }
};

// Calls task(index) once for each index below count, on any threads, and returns when all are done.
using RunTasks = std::function<void(int64_t count, const std::function<void(int64_t)>& task)>;

struct DoubleProduct {
  StridedMatrix<const double> a, b;
  StridedMatrix<double> c;
  bool accumulates = false;  // C += A B
  bool only_lower = false;   // C is square, and what lies above its diagonal is not used
};

// C = A B. Every element is a sum over k in an order that depends on the shape alone; sums are
// fused where the CPU has FMA.
void multiply(const DoubleProduct& product, Isa isa, const RunTasks& run);

}  // namespace diabolo::kernels::cpu
