// The blobs of a training's parameter store as a checkpoint takes and gives them: on the host in
// place, from a device through a block of staging memory.
#pragma once

#include <string>

#include "graph/parameter_store.h"
#include "train/checkpoint.h"

namespace diabolo {

class StoreBlobs final : public StateBlobs {
 public:
  // Borrows all three. Reading waits for what runs on the stream.
  StoreBlobs(Backend& backend, const ParameterStore& store, Stream& stream);

  std::span<const StateSpec> specs() const override { return specs_; }
  void read(size_t index, const BlockTaker& take) const override;
  BlockTarget target(size_t index) override;

  // One parameter's master, without the padding behind it.
  void read_parameter(size_t index, const BlockTaker& take) const;

 private:
  bool is_host() const { return backend_.info().space == Space::kHost; }
  void read_bytes(const void* data, uint64_t bytes, const BlockTaker& take) const;

  Backend& backend_;
  const ParameterStore& store_;
  Stream& stream_;
  std::vector<StateSpec> specs_;
  std::vector<TensorView> views_;
  StagingBuffer staging_;  // of a target on a device
};

}  // namespace diabolo
