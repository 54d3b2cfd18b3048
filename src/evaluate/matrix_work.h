// Products of Eigen's matrices on several threads and with the CPU's widest vectors, which Eigen
// itself, compiled for any x86-64, does not use. Results do not depend on the number of threads.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <functional>
#include <memory>

#include "kernels/cpu/double_product.h"
#include "kernels/cpu/thread_team.h"

namespace diabolo {

using RowMajorMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ConstMatrix = kernels::cpu::StridedMatrix<const double>;

// One thread at a time may use it.
class MatrixWork {
 public:
  // threads: at most, the caller's among them; as choose_threads takes them. Where none can be
  // started the caller does all.
  explicit MatrixWork(int threads);

  // C = A B, or C += A B; C has its size already.
  template <class C>
  void multiply(const ConstMatrix& a, const ConstMatrix& b, C&& c, bool accumulates = false) const {
    run({a, b, view_of(c), accumulates, false});
  }
  // C += A transposed(A), the lower half of it; something above the diagonal may be written too.
  void add_gram(const ConstMatrix& a, Eigen::MatrixXd& c) const {
    run({a, a.transposed(), view_of(c), true, true});
  }

  template <class M>
  static ConstMatrix view(const M& matrix) {
    const int64_t rows = matrix.rowStride(), cols = matrix.colStride();
    return {matrix.data(), matrix.rows(), matrix.cols(), rows, cols};
  }

 private:
  template <class M>
  static kernels::cpu::StridedMatrix<double> view_of(M&& matrix) {
    return {matrix.data(), matrix.rows(), matrix.cols(), matrix.rowStride(), matrix.colStride()};
  }
  void run(const kernels::cpu::DoubleProduct& product) const;
  void run_tasks(int64_t count, const std::function<void(int64_t)>& task) const;

  std::unique_ptr<kernels::cpu::ThreadTeam> team_;  // null: the caller is alone
  kernels::cpu::Isa isa_;
};

}  // namespace diabolo
