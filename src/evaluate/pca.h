// Principal components, the yardstick of every autoencoder.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/log.h"

namespace diabolo {

// Rows of floats that can be gone over more than once, from the first each time.
struct PcaRows {
  std::string name;
  int64_t features = 0;
  std::optional<uint64_t> most_rows;  // at most so many; nothing for a stream, which is read once
  // Calls use(block) for block after block, each [n, features].
  std::function<void(const std::function<void(std::span<const float>)>& use)> each_block;
};

struct PcaProgress {
  int pass = 0;       // over the rows, from 1
  uint64_t rows = 0;  // of this pass, so far
};

// Where one way of fitting ends and the next begins; see fit_pca.
struct PcaLimits {
  int64_t most_side = 4096;                      // of a matrix that is formed
  int64_t most_solved = 512;                     // of one whose eigenvectors are all computed
  int64_t most_held = (int64_t{256} << 20) / 4;  // numbers of rows in memory
};

struct PcaOptions {
  int64_t components = 1;
  int threads = 0;                                   // 0: all that the process may use
  std::function<void(const PcaProgress&)> progress;  // after each block; may throw, to stop
  Log log;
  PcaLimits limits;
};

// The mean and the leading directions of rows.
class Pca {
 public:
  Pca();
  ~Pca();
  Pca(Pca&&) noexcept;

  int64_t components() const;
  // rows -> projected to the directions and back, [n,D].
  void reconstruct(std::span<const float> rows, std::span<float> out) const;

 private:
  friend class PcaFit;
  struct State;
  std::unique_ptr<State> state_;
};

// Keeps min(components, features, rows - 1) directions, at least one and none that is rounding.
// Exact but for rounding (in double) for up to 512 features or rows; beyond that the mse that is
// left is within 1e-4 of the least possible, or the log says by how much it may be larger. Takes
// memory for the directions (8 bytes x features x components, some three times), and, by what
// applies first:
// - at most 4,096 rows, fewer than features, of 256 MiB: the rows and a matrix of rows x rows;
// - at most 4,096 features: a matrix of features x features;
// - else 8 bytes x features x some 10 x components, and up to 42 passes over the rows.
// Throws Error{kData} for no rows, and for a stream of more than 4,096 features.
Pca fit_pca(const PcaRows& rows, const PcaOptions& options);

}  // namespace diabolo
