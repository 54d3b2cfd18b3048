#define EIGEN_DONT_PARALLELIZE  // the OpenMP settings of the caller's threads are not ours
#include "evaluate/leading_eigen.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace diabolo {
namespace {

using Eigen::MatrixXd;
using Solver = Eigen::SelfAdjointEigenSolver<MatrixXd>;

constexpr double kAccuracy = 2e-5;
constexpr double kRounding = 1e-13;  // of a length, or of the trace
constexpr double kDependent = 1e-6;  // what is left of a unit column beside the others

Solver solved(const MatrixXd& matrix) {
  Solver solver(matrix);
  if (solver.info() != Eigen::Success)
    throw Error(ErrorCode::kData,
                "PCA: the covariance has no eigenvectors; are all numbers finite?");
  return solver;
}

// Numbers from -0.5 to 0.5, the same everywhere (splitmix64).
MatrixXd random_columns(int64_t rows, int64_t cols) {
  MatrixXd out(rows, cols);
  uint64_t state = 0x5ca1ab1e;
  for (int64_t i = 0; i < out.size(); ++i) {
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    out.data()[i] = static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53 - 0.5;
  }
  return out;
}

class Search {
 public:
  Search(const EigenProblem& problem, const MatrixWork& work)
      : problem_(problem),
        work_(work),
        block_(std::min(problem.size, eigen_block(problem.wanted))),
        most_(std::min(problem.size, std::max(problem.most_columns, 2 * block_))) {}

  EigenSolution run() {
    basis_.resize(problem_.size, most_);
    image_.resize(problem_.size, most_);
    append(orthonormal(random_columns(problem_.size, block_), work_));
    for (;;) {
      while (!is_whole_ && can_grow()) is_whole_ = !grow();
      project();
      if (is_done()) break;
    }
    solution_.values = values_.head(kept());
    solution_.vectors = basis_.leftCols(kept());
    return std::move(solution_);
  }

 private:
  bool can_grow() const { return columns_ + block_ <= most_ && products_ < problem_.most_products; }
  int64_t kept() const { return std::min(problem_.wanted, columns_); }

  auto basis(int64_t first, int64_t count) { return basis_.middleCols(first, count); }

  void append(const MatrixXd& columns) {
    MatrixXd product;
    problem_.apply(columns, product);
    ++products_;
    last_ = columns.cols();
    basis_.middleCols(columns_, last_) = columns;
    image_.middleCols(columns_, last_) = product;
    columns_ += last_;
  }

  // What A makes of the last block and the basis does not have yet. False for nothing.
  bool grow() {
    MatrixXd next = image_.middleCols(columns_ - last_, last_);
    const Eigen::RowVectorXd lengths = next.colwise().norm();
    for (int round = 0; round < 2 && next.cols() > 0; ++round) {
      const auto known = MatrixWork::view(basis_.leftCols(columns_));
      MatrixXd shares(columns_, next.cols());
      work_.multiply(known.transposed(), MatrixWork::view(next), shares);
      shares = -shares;
      work_.multiply(known, MatrixWork::view(shares), next, true);
      for (int64_t i = 0; round == 0 && i < next.cols(); ++i)
        if (next.col(i).norm() <= kRounding * lengths(i)) next.col(i).setZero();
      next = orthonormal(std::move(next), work_);
    }
    if (next.cols() == 0) return false;
    append(next);
    return true;
  }

  // The best that the space holds becomes the new start.
  void project() {
    MatrixXd small(columns_, columns_);
    const auto basis = MatrixWork::view(basis_.leftCols(columns_));
    const auto image = MatrixWork::view(image_.leftCols(columns_));
    work_.multiply(basis.transposed(), image, small);
    const Solver solver = solved(0.5 * (small + small.transpose()));
    const int64_t count = std::min(block_, columns_);
    const MatrixXd best = solver.eigenvectors().rightCols(count).rowwise().reverse();
    values_ = solver.eigenvalues().tail(count).reverse();
    MatrixXd vectors(problem_.size, count), products(problem_.size, count);
    work_.multiply(basis, MatrixWork::view(best), vectors);
    work_.multiply(image, MatrixWork::view(best), products);
    basis_.leftCols(count) = vectors;
    image_.leftCols(count) = products;
    is_whole_ = is_whole_ || columns_ == problem_.size;
    columns_ = last_ = count;
  }

  // The gains of one round after the other shrink by about the same factor.
  bool is_done() {
    const double sum = values_.head(kept()).sum();
    const double gain = sum - sum_;
    // A round without a gain has none after it; the one before may have been without, too.
    const double factor = rounds_ < 2 ? 1 : gain <= 0 ? 0 : std::clamp(gain / gain_, 0.0, 0.999);
    const double rest = std::max(problem_.trace - sum, 0.0);
    sum_ = sum, gain_ = gain, ++rounds_;
    solution_.missing = 0;
    if (is_whole_ || rest <= kRounding * problem_.trace) return true;
    solution_.missing = factor >= 1 ? 1 : std::max(gain, 0.0) * factor / (1 - factor) / rest;
    if (rounds_ > 2 && solution_.missing <= kAccuracy) {
      solution_.missing = 0;
      return true;
    }
    return products_ >= problem_.most_products;
  }

  const EigenProblem& problem_;
  const MatrixWork& work_;
  int64_t block_, most_;
  MatrixXd basis_, image_;  // orthonormal columns, and A times them
  int64_t columns_ = 0, last_ = 0;
  Eigen::VectorXd values_;
  double sum_ = 0, gain_ = 0;
  int rounds_ = 0, products_ = 0;
  bool is_whole_ = false;  // A leads nowhere out of the space
  EigenSolution solution_;
};

}  // namespace

int64_t eigen_block(int64_t wanted) {
  return wanted + std::max<int64_t>(8, wanted / 4);
}

MatrixXd orthonormal(MatrixXd columns, const MatrixWork& work) {
  int64_t kept = 0;
  for (int64_t i = 0; i < columns.cols(); ++i) {
    const double length = columns.col(i).norm();
    if (length > 0) columns.col(kept++) = columns.col(i) / length;
  }
  columns.conservativeResize(Eigen::NoChange, kept);
  for (int round = 0; round < 2 && columns.cols() > 0; ++round) {
    const auto view = MatrixWork::view(columns);
    MatrixXd products(columns.cols(), columns.cols());
    work.multiply(view.transposed(), view, products);
    const Solver solver = solved(products);
    const auto count = (solver.eigenvalues().array() > kDependent * kDependent).count();
    const MatrixXd mix = solver.eigenvectors().rightCols(count) *
                         solver.eigenvalues().tail(count).cwiseSqrt().cwiseInverse().asDiagonal();
    MatrixXd out(columns.rows(), count);
    work.multiply(view, MatrixWork::view(mix), out);
    columns = std::move(out);
  }
  return columns;
}

EigenSolution leading_eigenvectors(const EigenProblem& problem, const MatrixWork& work) {
  DIABOLO_CHECK(problem.wanted > 0 && problem.wanted <= problem.size, problem.wanted);
  return Search(problem, work).run();
}

}  // namespace diabolo
