#define EIGEN_DONT_PARALLELIZE  // the OpenMP settings of the caller's threads are not ours
#include "run/pca.h"

#include <Eigen/Dense>
#include <algorithm>

#include "base/error.h"

namespace diabolo {

using RowsF =
    Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

struct Pca::State {
  int64_t features = 0;
  uint64_t rows = 0;
  Eigen::VectorXd origin;    // the first row: sums of differences from it lose few digits
  Eigen::VectorXd sum;       // of x - origin
  Eigen::MatrixXd products;  // sum of (x - origin)(x - origin)^T, lower half
  Eigen::VectorXd mean;
  Eigen::MatrixXd directions;  // [D,components]
};

Pca::Pca(int64_t features) : state_(std::make_unique<State>()) {
  state_->features = features;
  state_->sum = Eigen::VectorXd::Zero(features);
  state_->products = Eigen::MatrixXd::Zero(features, features);
}

Pca::~Pca() = default;
Pca::Pca(Pca&&) noexcept = default;

int64_t Pca::components() const {
  return state_->directions.cols();
}

void Pca::add(std::span<const float> rows) {
  State& s = *state_;
  DIABOLO_CHECK(rows.size() % static_cast<size_t>(s.features) == 0, rows.size());
  const auto count = static_cast<int64_t>(rows.size()) / s.features;
  if (count == 0) return;
  const RowsF block(rows.data(), count, s.features);
  if (s.rows == 0) s.origin = block.row(0).transpose().cast<double>();
  const Eigen::MatrixXd centred =
      block.cast<double>().transpose().colwise() - s.origin;  // [D,count]
  s.sum += centred.rowwise().sum();
  s.products.selfadjointView<Eigen::Lower>().rankUpdate(centred);
  s.rows += static_cast<uint64_t>(count);
}

void Pca::fit(int64_t components) {
  State& s = *state_;
  if (s.rows == 0) throw Error(ErrorCode::kData, "PCA: there are no rows to fit it on");
  const auto n = static_cast<double>(s.rows);
  s.mean = s.origin + s.sum / n;
  Eigen::MatrixXd covariance = s.products / n;
  covariance.selfadjointView<Eigen::Lower>().rankUpdate(s.sum / n, -1.0);
  // Eigenvalues ascend; the solver reads the lower half.
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(covariance);
  if (solver.info() != Eigen::Success)
    throw Error(ErrorCode::kData,
                "PCA: the covariance has no eigenvectors; are all numbers finite?");
  s.directions = solver.eigenvectors().rightCols(std::min(components, s.features));
}

void Pca::reconstruct(std::span<const float> rows, std::span<float> out) const {
  const State& s = *state_;
  DIABOLO_CHECK(s.directions.cols() > 0 && rows.size() == out.size(), rows.size());
  const auto count = static_cast<int64_t>(rows.size()) / s.features;
  const RowsF block(rows.data(), count, s.features);
  const Eigen::MatrixXd centred = block.cast<double>().rowwise() - s.mean.transpose();
  const Eigen::MatrixXd codes = centred * s.directions;
  const Eigen::MatrixXd back = (codes * s.directions.transpose()).rowwise() + s.mean.transpose();
  Eigen::Map<Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(
      out.data(), count, s.features) = back.cast<float>();
}

}  // namespace diabolo
