#define EIGEN_DONT_PARALLELIZE  // the OpenMP settings of the caller's threads are not ours
#include "evaluate/pca.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <vector>

#include "base/checked.h"
#include "base/error.h"
#include "evaluate/leading_eigen.h"
#include "evaluate/matrix_work.h"

namespace diabolo {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;
using RowsF =
    Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

constexpr int64_t kColumns = 192;  // of a search in a matrix in memory

}  // namespace

struct Pca::State {
  explicit State(int threads) : work(threads) {}

  MatrixWork work;
  VectorXd mean;
  MatrixXd directions;  // [D,components]
};

Pca::Pca() = default;
Pca::~Pca() = default;
Pca::Pca(Pca&&) noexcept = default;

int64_t Pca::components() const {
  return state_->directions.cols();
}

void Pca::reconstruct(std::span<const float> rows, std::span<float> out) const {
  const State& s = *state_;
  DIABOLO_CHECK(rows.size() == out.size(), rows.size());
  const auto count = static_cast<int64_t>(rows.size()) / s.mean.size();
  const RowsF block(rows.data(), count, s.mean.size());
  const RowMajorMatrix centred = block.cast<double>().rowwise() - s.mean.transpose();
  const ConstMatrix directions = MatrixWork::view(s.directions);
  RowMajorMatrix codes(count, directions.cols), back(count, s.mean.size());
  s.work.multiply(MatrixWork::view(centred), directions, codes);
  s.work.multiply(MatrixWork::view(codes), directions.transposed(), back);
  back.rowwise() += s.mean.transpose();
  Eigen::Map<Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(
      out.data(), count, s.mean.size()) = back.cast<float>();
}

class PcaFit {
 public:
  PcaFit(const PcaRows& rows, const PcaOptions& options)
      : rows_(rows),
        options_(options),
        state_(std::make_unique<Pca::State>(options.threads)),
        features_(rows.features),
        wanted_(std::min(options.components, rows.features)) {}

  Pca run() {
    const PcaLimits& limits = options_.limits;
    const auto most = checked_cast<int64_t>(rows_.most_rows.value_or(UINT64_MAX));
    const bool is_wide = most && *most < features_ && *most <= limits.most_side;
    if (is_wide && *most <= limits.most_held / features_) {
      from_row_products();
    } else if (features_ <= limits.most_side) {
      from_covariance();
    } else {
      from_passes();
    }
    Pca pca;
    pca.state_ = std::move(state_);
    return pca;
  }

 private:
  using Use = std::function<void(const RowsF& block)>;

  void pass(const Use& use) {
    PcaProgress progress{++passes_, 0};
    rows_.each_block([&](std::span<const float> values) {
      const auto count = static_cast<int64_t>(values.size()) / features_;
      if (count == 0) return;
      use(RowsF(values.data(), count, features_));
      progress.rows += static_cast<uint64_t>(count);
      if (options_.progress) options_.progress(progress);
    });
    if (progress.rows == 0)
      throw Error(ErrorCode::kData, rows_.name + ": has no rows to fit PCA on");
    count_ = progress.rows;
  }
  RowMajorMatrix centred(const RowsF& block) const {
    return block.cast<double>().rowwise() - state_->mean.transpose();
  }

  // Fewer rows than features: with the eigenvectors u of the products of rows, X^T u are
  // directions.
  void from_row_products() {
    std::vector<float> held;
    held.reserve(static_cast<size_t>(*rows_.most_rows) * static_cast<size_t>(features_));
    VectorXd sum = VectorXd::Zero(features_);
    pass([&](const RowsF& block) {
      held.insert(held.end(), block.data(), block.data() + block.size());
      sum += block.cast<double>().colwise().sum().transpose();
    });
    const auto count = static_cast<int64_t>(count_);
    state_->mean = sum / static_cast<double>(count_);
    const RowsF all(held.data(), count, features_);
    MatrixXd products = MatrixXd::Zero(count, count);
    constexpr int64_t kWidth = 2048;  // of features at a time: few are in double at once
    const auto columns = [&](int64_t first) {
      const int64_t width = std::min(kWidth, features_ - first);
      return RowMajorMatrix(all.middleCols(first, width).cast<double>().rowwise() -
                            state_->mean.segment(first, width).transpose());
    };
    for (int64_t first = 0; first < features_; first += kWidth)
      state_->work.add_gram(MatrixWork::view(columns(first)), products);
    wanted_ = std::min(wanted_, count);
    const EigenSolution found = solve(products);
    MatrixXd directions(features_, found.vectors.cols());
    for (int64_t first = 0; first < features_; first += kWidth) {
      const RowMajorMatrix part = columns(first);
      state_->work.multiply(MatrixWork::view(part).transposed(), MatrixWork::view(found.vectors),
                            directions.middleRows(first, part.cols()));
    }
    keep(std::move(directions), found);
  }

  // About the first row, so that sums lose few digits to a large mean, then about the mean.
  void from_covariance() {
    VectorXd origin, sum = VectorXd::Zero(features_);
    MatrixXd products = MatrixXd::Zero(features_, features_);
    pass([&](const RowsF& block) {
      if (origin.size() == 0) origin = block.row(0).transpose().cast<double>();
      const RowMajorMatrix shifted = block.cast<double>().rowwise() - origin.transpose();
      sum += shifted.colwise().sum().transpose();
      state_->work.add_gram(MatrixWork::view(shifted).transposed(), products);
    });
    sum /= static_cast<double>(count_);
    state_->mean = origin + sum;
    products.selfadjointView<Eigen::Lower>().rankUpdate(sum, -static_cast<double>(count_));
    EigenSolution found = solve(products);
    keep(std::move(found.vectors), found);
  }

  // Neither side is small: products with the covariance are passes over the rows.
  void from_passes() {
    if (!rows_.most_rows)
      throw Error(ErrorCode::kData,
                  cat(rows_.name, ": is a stream; PCA of more than ", options_.limits.most_side,
                      " features goes over its rows more than once"));
    state_->mean = VectorXd::Zero(features_);
    pass([&](const RowsF& block) {
      state_->mean += block.cast<double>().colwise().sum().transpose();
    });
    state_->mean /= static_cast<double>(count_);
    EigenProblem problem{features_, wanted_, 0, {}, 3 * eigen_block(wanted_), 40};
    pass([&](const RowsF& block) { problem.trace += centred(block).squaredNorm(); });
    problem.apply = [&](const MatrixXd& in, MatrixXd& out) {
      out = MatrixXd::Zero(features_, in.cols());
      pass([&](const RowsF& block) {
        const RowMajorMatrix rows = centred(block);
        RowMajorMatrix shares(rows.rows(), in.cols());
        state_->work.multiply(MatrixWork::view(rows), MatrixWork::view(in), shares);
        state_->work.multiply(MatrixWork::view(rows).transposed(), MatrixWork::view(shares), out,
                              true);
      });
    };
    EigenSolution found = leading_eigenvectors(problem, state_->work);
    keep(std::move(found.vectors), found);
  }

  // Of a matrix of which the lower half is known.
  EigenSolution solve(MatrixXd& lower) const {
    lower.triangularView<Eigen::StrictlyUpper>() = lower.transpose();
    const int64_t size = lower.rows();
    const int64_t columns = std::max(kColumns, 4 * eigen_block(wanted_));
    if (size > options_.limits.most_solved && 2 * columns < size) {
      EigenProblem problem{size, wanted_, lower.trace(), {}, columns, 400};
      problem.apply = [&](const MatrixXd& in, MatrixXd& out) {
        out.resize(size, in.cols());
        state_->work.multiply(MatrixWork::view(lower), MatrixWork::view(in), out);
      };
      return leading_eigenvectors(problem, state_->work);
    }
    const Eigen::SelfAdjointEigenSolver<MatrixXd> solver(lower);
    if (solver.info() != Eigen::Success)
      throw Error(ErrorCode::kData,
                  "PCA: the covariance has no eigenvectors; are all numbers finite?");
    return {solver.eigenvalues().tail(wanted_).reverse(),
            solver.eigenvectors().rightCols(wanted_).rowwise().reverse(), 0};
  }

  // Directions of variance that is rounding are as good as none.
  void keep(MatrixXd directions, const EigenSolution& found) {
    constexpr double kRounding = 1e-14;
    const double least = std::max(found.values(0) * kRounding, 0.0);
    const auto count = std::max<int64_t>(1, (found.values.array() > least).count());
    directions.conservativeResize(Eigen::NoChange, count);
    const bool is_constant = !(found.values(0) > 0);
    state_->directions = is_constant ? MatrixXd::Identity(features_, 1)
                                     : orthonormal(std::move(directions), state_->work);
    if (found.missing > 0)
      options_.log.warning(rows_.name, ": PCA was stopped after ", passes_,
                           " passes; its mse may be too large by ", found.missing, " of itself");
  }

  const PcaRows& rows_;
  const PcaOptions& options_;
  std::unique_ptr<Pca::State> state_;
  int64_t features_, wanted_;
  uint64_t count_ = 0;
  int passes_ = 0;
};

Pca fit_pca(const PcaRows& rows, const PcaOptions& options) {
  return PcaFit(rows, options).run();
}

}  // namespace diabolo
