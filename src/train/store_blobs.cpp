#include "train/store_blobs.h"

#include <algorithm>

#include "base/error.h"

namespace diabolo {

// In a file no name has an @, and none is there twice.
StoreBlobs::StoreBlobs(Backend& backend, const ParameterStore& store, Stream& stream)
    : backend_(backend), store_(store), stream_(stream) {
  const auto add = [&](StateSpec spec) {
    views_.push_back(store.state(spec.name));
    if (spec.name.starts_with('@')) spec.name.erase(0, 1);
    DIABOLO_CHECK(std::ranges::find(specs_, spec.name, &StateSpec::name) == specs_.end(), spec.name,
                  " is the name of two states");
    specs_.push_back(std::move(spec));
  };
  add({store_names::kMaster, store.layout().desc(DType::kF32), StateKind::kOfModel});
  for (const StateSpec& spec : store.states())
    if (spec.kind != StateKind::kOfRun) add(spec);
}

void StoreBlobs::read(size_t index, const BlockTaker& take) const {
  read_bytes(views_[index].data, views_[index].desc.bytes(), take);
}

void StoreBlobs::read_parameter(size_t index, const BlockTaker& take) const {
  const TensorView parameter = store_.parameter(store_.parameters()[index].name);
  read_bytes(parameter.data, parameter.desc.bytes(), take);
}

void StoreBlobs::read_bytes(const void* data, uint64_t bytes, const BlockTaker& take) const {
  constexpr uint64_t kStagingBytes = 8 << 20;
  const auto* from = static_cast<const std::byte*>(data);
  stream_.synchronize();
  if (is_host()) return take({from, bytes});
  const StagingBuffer staging(backend_, std::min(bytes, kStagingBytes));
  for (uint64_t at = 0; at < bytes; at += kStagingBytes) {
    const uint64_t count = std::min(kStagingBytes, bytes - at);
    stream_.copy_out(staging.data(), from + at, count);
    stream_.synchronize();
    take({staging.as<std::byte>(), count});
  }
}

BlockTarget StoreBlobs::target(size_t index) {
  auto* to = views_[index].as<std::byte>();
  stream_.synchronize();
  BlockTarget target;
  if (is_host()) {
    target.room = [to](uint64_t offset, uint64_t bytes) { return std::span(to + offset, bytes); };
    return target;
  }
  if (!staging_.data()) staging_ = StagingBuffer(backend_, SafetensorsFile::kBlockBytes);
  target.room = [this](uint64_t, uint64_t bytes) {
    DIABOLO_CHECK(bytes <= SafetensorsFile::kBlockBytes, bytes);
    return std::span(staging_.as<std::byte>(), bytes);
  };
  target.filled = [this, to](uint64_t offset, std::span<const std::byte> block) {
    stream_.copy_in(to + offset, block.data(), block.size());
    stream_.synchronize();
  };
  return target;
}

}  // namespace diabolo
