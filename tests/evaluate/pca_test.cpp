// PCA by each of its ways against all eigenvectors of the covariance.
#define EIGEN_DONT_PARALLELIZE
#include "evaluate/pca.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>
#include <functional>

#include "base/error.h"
#include "base/sanitized.h"
#include "evaluate/leading_eigen.h"
#include "evaluate/matrix_work.h"
#include "train/training_fixture.h"

namespace diabolo {
namespace {

using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Products of three extents: a quarter of each takes a sanitizer a sixty-fourth of the time.
constexpr int64_t kLess = testing::kIsSanitized ? 4 : 1;

float normal(uint32_t stream, int64_t row, int64_t column) {
  return kernels::normal_at({5, stream, 0}, static_cast<uint32_t>(row),
                            static_cast<uint64_t>(column));
}

// Noise of which direction j has the deviation that is asked for, turned into other axes.
Rows rows_with(int64_t count, int64_t features, const std::function<double(int64_t)>& deviation) {
  Eigen::MatrixXd noise(count, features), turn(features, features);
  for (int64_t j = 0; j < features; ++j) {
    for (int64_t i = 0; i < count; ++i)
      noise(i, j) = deviation(j) * static_cast<double>(normal(1, i, j));
    for (int64_t i = 0; i < features; ++i) turn(i, j) = static_cast<double>(normal(2, i, j));
  }
  const Eigen::MatrixXd axes = Eigen::HouseholderQR<Eigen::MatrixXd>(turn).householderQ();
  return (noise * axes).cast<float>();
}

PcaRows in_blocks(const Rows& rows, bool is_stream = false) {
  PcaRows out{"rows", rows.cols(), static_cast<uint64_t>(rows.rows()), {}};
  if (is_stream) out.most_rows.reset();
  out.each_block = [&rows](const std::function<void(std::span<const float>)>& use) {
    const std::span all(rows.data(), static_cast<size_t>(rows.size()));
    const auto first = static_cast<size_t>(rows.rows() / 3 * rows.cols());
    use(all.first(first));
    use(all.subspan(first));
  };
  return out;
}

double mse_of(const Pca& pca, const Rows& rows) {
  Rows back(rows.rows(), rows.cols());
  const auto size = static_cast<size_t>(rows.size());
  pca.reconstruct({rows.data(), size}, {back.data(), size});
  return (back.cast<double>() - rows.cast<double>()).squaredNorm() /
         static_cast<double>(rows.size());
}

// The least possible: the mean of what the leading eigenvalues leave.
double least_mse(const Rows& rows, int64_t components) {
  const Eigen::MatrixXd centred =
      rows.cast<double>().rowwise() - rows.cast<double>().colwise().mean();
  const bool is_wide = rows.rows() < rows.cols();
  const Eigen::MatrixXd products =
      is_wide ? Eigen::MatrixXd(centred * centred.transpose()) : centred.transpose() * centred;
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(products, Eigen::EigenvaluesOnly);
  const int64_t left = std::max<int64_t>(0, products.rows() - components);
  return solver.eigenvalues().head(left).sum() / static_cast<double>(rows.size());
}

struct Way {
  const char* name;
  PcaLimits limits;
};
// Each is reached by moving the limits.
const Way kWays[] = {{"all eigenvectors", {}},
                     {"search in a matrix", {4096, 16, int64_t{1} << 26}},
                     {"covariance", {4096, 16, 1}},
                     {"passes over the rows", {1, 1, 1}}};

void expect_least_mse(const Rows& rows, int64_t components) {
  const double least = least_mse(rows, components);
  for (const Way& way : kWays) {
    PcaOptions options;
    options.components = components;
    options.limits = way.limits;
    EXPECT_NEAR(mse_of(fit_pca(in_blocks(rows), options), rows), least, 1e-4 * least + 1e-13)
        << way.name;
  }
}

TEST(Pca, IsTheBestForAFallingSpectrum) {
  const auto falling = [](int64_t j) { return std::pow(0.97, static_cast<double>(j)); };
  expect_least_mse(rows_with(600 / kLess, 500 / kLess, falling), 12);
  expect_least_mse(rows_with(500 / kLess, 600 / kLess, falling), 12);
}

// Every direction is about as good as any other: the slowest case of all iterations.
TEST(Pca, IsTheBestForANearlyFlatSpectrum) {
  expect_least_mse(rows_with(700 / kLess, 500 / kLess, [](int64_t) { return 1.0; }), 8);
  expect_least_mse(rows_with(500 / kLess, 700 / kLess, [](int64_t) { return 1.0; }), 8);
}

// A few strong directions over noise that is a thousand times weaker, and more components than
// they.
TEST(Pca, IsTheBestWithinTheNoiseToo) {
  const auto stepped = [](int64_t j) { return j < 4 ? 30.0 : 0.03; };
  expect_least_mse(rows_with(400 / kLess, 450 / kLess, stepped), 4);
  expect_least_mse(rows_with(450 / kLess, 400 / kLess, stepped), 10);
}

TEST(Pca, FindsThePlane) {
  const std::vector<float> values = planar_rows(400, 90, 4);
  const Rows rows = Eigen::Map<const Rows>(values.data(), 400, 90);
  for (const Way& way : kWays) {
    const auto fitted = [&](int64_t components) {
      PcaOptions options;
      options.components = components;
      options.limits = way.limits;
      return fit_pca(in_blocks(rows), options);
    };
    EXPECT_LT(mse_of(fitted(3), rows), 1e-12) << way.name;  // the rows have three dimensions
    EXPECT_GT(mse_of(fitted(2), rows), 1e-3) << way.name;
    EXPECT_GT(mse_of(fitted(1), rows), mse_of(fitted(2), rows)) << way.name;
    EXPECT_LT(mse_of(fitted(200), rows), 1e-12) << way.name;
  }
}

// A large mean must not cost digits.
TEST(Pca, SurvivesALargeMean) {
  const std::vector<float> values = planar_rows(300, 40, 4);
  Rows rows = Eigen::Map<const Rows>(values.data(), 300, 40);
  rows.array() += 1000;
  for (const Way& way : kWays) {
    PcaOptions options;
    options.components = 3;
    options.limits = way.limits;
    EXPECT_LT(mse_of(fit_pca(in_blocks(rows), options), rows), 1e-8) << way.name;
  }
}

// One row far away along the narrow axis is the origin of the sums. About the mean the wide axis
// comes first, about the origin the narrow one would.
TEST(Pca, IsAboutTheMean) {
  Rows rows(200, 2);
  rows.row(0) << 0, 3;
  for (int64_t i = 1; i < 200; ++i) rows.row(i) << normal(1, i, 0), 0.1f * normal(1, i, 1);
  PcaOptions options;
  EXPECT_NEAR(mse_of(fit_pca(in_blocks(rows), options), rows), (0.01 + 9.0 / 200) / 2, 0.01);
}

TEST(Pca, ConstantRowsAndOneRowHaveADirectionAllTheSame) {
  for (const int64_t count : {1, 30}) {
    const Rows rows = Rows::Constant(count, 20, 2.5f);
    for (const Way& way : kWays) {
      PcaOptions options;
      options.components = 4;
      options.limits = way.limits;
      const Pca pca = fit_pca(in_blocks(rows), options);
      EXPECT_GE(pca.components(), 1) << way.name;
      EXPECT_LT(mse_of(pca, rows), 1e-12) << way.name;
    }
  }
}

TEST(Pca, AStreamIsReadOnce) {
  const Rows rows =
      rows_with(60, 30, [](int64_t j) { return 1.0 / (1.0 + static_cast<double>(j)); });
  PcaOptions options;
  options.components = 4;
  int passes = 0;
  options.progress = [&](const PcaProgress& progress) { passes = progress.pass; };
  EXPECT_NEAR(mse_of(fit_pca(in_blocks(rows, true), options), rows), least_mse(rows, 4), 1e-9);
  EXPECT_EQ(passes, 1);
  options.limits.most_side = 10;
  EXPECT_THROW(fit_pca(in_blocks(rows, true), options), Error);
}

// The first round finds the direction to the last bit, and about one time in five the two after it
// gain exactly nothing: the search must end then, and not go on to its limit of products.
TEST(LeadingEigenvectors, OneDominatingDirectionTakesAFewProducts) {
  const MatrixWork work(1);
  for (int64_t size = 60; size < 160; size += testing::kIsSanitized ? 9 : 1) {
    Eigen::VectorXd diagonal(size);
    for (int64_t i = 0; i < size; ++i) diagonal(i) = 1e-10 * static_cast<double>(17 + i % 17);
    diagonal(0) = 1;
    int products = 0;
    EigenProblem problem{size, 1, diagonal.sum(), {}, 18, 42};
    problem.apply = [&](const Eigen::MatrixXd& in, Eigen::MatrixXd& out) {
      ++products;
      out = diagonal.asDiagonal() * in;
    };
    const EigenSolution found = leading_eigenvectors(problem, work);
    EXPECT_NEAR(found.values(0), 1, 1e-14) << size;
    EXPECT_EQ(found.missing, 0) << size;
    EXPECT_LE(products, 6) << size;
  }
}

TEST(Pca, DoesNotDependOnThreads) {
  const Rows rows = rows_with(300 / kLess, 500 / kLess,
                              [](int64_t j) { return 1.0 / (1.0 + static_cast<double>(j)); });
  for (const Way& way : kWays) {
    const auto mse = [&](int threads) {
      PcaOptions options;
      options.components = 5;
      options.threads = threads;
      options.limits = way.limits;
      return mse_of(fit_pca(in_blocks(rows), options), rows);
    };
    EXPECT_EQ(mse(1), mse(3)) << way.name;
  }
}

TEST(MatrixWork, MultipliesAnyShapeAndLayout) {
  const MatrixWork work(2);
  for (const auto& [m, n, k] : {std::array{1, 1, 1}, {5, 7, 3}, {200, 17, 300}, {193, 400, 1}}) {
    Eigen::MatrixXd a(m, k), b(k, n);
    for (int64_t i = 0; i < a.size(); ++i) a.data()[i] = static_cast<double>(normal(1, i, 0));
    for (int64_t i = 0; i < b.size(); ++i) b.data()[i] = static_cast<double>(normal(2, i, 0));
    const Eigen::MatrixXd expected = a * b;
    const RowMajorMatrix a_rows = a, bt_rows = b.transpose();
    RowMajorMatrix c(m, n);
    work.multiply(MatrixWork::view(a_rows), MatrixWork::view(bt_rows).transposed(), c);
    EXPECT_LT((c - expected).cwiseAbs().maxCoeff(), 1e-11);
    Eigen::MatrixXd d = expected;
    work.multiply(MatrixWork::view(a), MatrixWork::view(b), d, true);
    EXPECT_LT((d - 2 * expected).cwiseAbs().maxCoeff(), 1e-11);
    Eigen::MatrixXd gram = Eigen::MatrixXd::Zero(m, m);
    work.add_gram(MatrixWork::view(a_rows), gram);
    const Eigen::MatrixXd difference = gram - a * a.transpose();
    EXPECT_LT(Eigen::MatrixXd(difference.triangularView<Eigen::Lower>()).cwiseAbs().maxCoeff(),
              1e-11);
  }
}

}  // namespace
}  // namespace diabolo
