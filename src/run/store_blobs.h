// The blobs of a training's parameter store as a checkpoint takes and gives them: on the host in
// place, from a device through a block of staging memory.
#pragma once

#include <string>

#include "graph/parameter_store.h"
#include "run/checkpoint.h"

namespace diabolo {

class StoreBlobs final : public StateBlobs {
 public:
  // Borrows all three. Reading waits for what runs on the stream.
  StoreBlobs(Backend& backend, const ParameterStore& store, Stream& stream)
      : backend_(backend), store_(store), stream_(stream) {}

  uint64_t elems() const override { return store_.layout().elems; }
  bool has(const std::string& name) const override;
  void read(const std::string& name, const BlockTaker& take) const override;
  BlockTarget target(const std::string& name) override;

  // One parameter's master, without the padding behind it.
  void read_parameter(size_t index, const BlockTaker& take) const;

 private:
  bool is_host() const { return backend_.info().space == Space::kHost; }
  void read_bytes(const void* data, uint64_t bytes, const BlockTaker& take) const;

  Backend& backend_;
  const ParameterStore& store_;
  Stream& stream_;
  StagingBuffer staging_;  // of a target on a device
};

}  // namespace diabolo
