// Principal components, the yardstick of every autoencoder.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace diabolo {

// The mean and the leading directions of rows, from the covariance in double. Rows are added in
// blocks, so the data need not fit in memory.
class Pca {
 public:
  explicit Pca(int64_t features);
  ~Pca();
  Pca(Pca&&) noexcept;

  void add(std::span<const float> rows);  // a multiple of the features
  // Keeps min(components, features) directions. Throws Error{kData} for no rows.
  void fit(int64_t components);
  int64_t components() const;
  // rows -> projected to the directions and back, [n,D].
  void reconstruct(std::span<const float> rows, std::span<float> out) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace diabolo
