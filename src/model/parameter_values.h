// The f32 weights of a model in memory: one block in the layout of a parameter store. Copies of a
// model share it, and so do the stores on the host that compute with it: large models are held
// once.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "graph/parameter_store.h"

namespace diabolo {

class ParameterValues {
 public:
  ParameterValues() = default;
  // Room for them, not yet set; the padding is 0. Throws Error{kResource}.
  explicit ParameterValues(std::span<const ParameterSpec> specs);
  // One vector per parameter.
  ParameterValues(std::span<const ParameterSpec> specs,
                  const std::vector<std::vector<float>>& values);

  size_t size() const { return parts_.size(); }
  std::span<const float> operator[](size_t index) const { return parts_[index]; }
  auto begin() const { return parts_.begin(); }
  auto end() const { return parts_.end(); }

  // For whoever changes them: nobody else sees that, as they are copied first where they are
  // shared.
  std::span<float> writable(size_t index);
  // All of them with their padding.
  std::span<const float> blob() const { return {data_.get(), elems_}; }
  std::span<float> writable_blob();
  const std::shared_ptr<float>& shared() const { return data_; }

 private:
  void allocate(uint64_t elems);
  void require_own();

  std::shared_ptr<float> data_;
  uint64_t elems_ = 0;
  std::vector<std::span<const float>> parts_;
};

}  // namespace diabolo
