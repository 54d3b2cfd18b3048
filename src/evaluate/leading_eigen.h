// The leading eigenvectors of a large symmetric matrix of which only products are known.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <functional>

#include "evaluate/matrix_work.h"

namespace diabolo {

struct EigenProblem {
  int64_t size = 0;    // of the matrix, which has no negative eigenvalue
  int64_t wanted = 0;  // eigenvectors, at most size
  double trace = 0;
  // out = A in; both [size, any].
  std::function<void(const Eigen::MatrixXd& in, Eigen::MatrixXd& out)> apply;
  int64_t most_columns = 0;  // of the space that is searched at once; memory is 2 x size x this
  int most_products = 0;
};

struct EigenSolution {
  Eigen::VectorXd values;   // falling
  Eigen::MatrixXd vectors;  // [size, up to wanted], orthonormal; fewer where the rank is lower
  double missing = 0;       // estimate of what the sum of values lacks, as a share of trace - sum
};

// Columns beside the wanted ones that are carried along.
int64_t eigen_block(int64_t wanted);

// Block Krylov iteration with Rayleigh-Ritz projection, restarted with the best vectors found, from
// a start that is always the same. Ends where the sum of the values is expected to grow by less
// than 2e-5 of what is left of the trace; `missing` says where it ended before that.
EigenSolution leading_eigenvectors(const EigenProblem& problem, const MatrixWork& work);

// Orthonormal columns that span the same space; fewer where columns are 0 or depend on others.
// Twice through the eigenvectors of the products of columns (Stathopoulos and Wu, SIAM J. Sci.
// Comput. 23(6), 2002).
Eigen::MatrixXd orthonormal(Eigen::MatrixXd columns, const MatrixWork& work);

}  // namespace diabolo
