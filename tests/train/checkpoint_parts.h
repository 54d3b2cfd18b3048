// What tests of checkpoints share.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/memory_file_system.h"
#include "train/checkpoint.h"

namespace diabolo {

// The identity that a checkpoint's header names.
inline std::string identity_in(const std::string& file) {
  const std::string key = "\\\"identity\\\":\\\"";
  const size_t at = file.find(key);
  return at == std::string::npos ? "" : file.substr(at + key.size(), 32);
}

inline auto is(const std::string& identity) {
  return [identity](const std::string& found) { return found == identity; };
}

// The blobs of a checkpoint in vectors; moments that are empty do not exist, nor does a mean.
class VectorBlobs final : public StateBlobs {
 public:
  explicit VectorBlobs(uint64_t elems) : master(elems), m(elems), v(elems) {}

  std::span<const StateSpec> specs() const override {
    specs_.clear();
    blobs_.clear();
    const auto add = [&](const char* name, const std::vector<float>& blob, StateKind kind) {
      if (blob.empty()) return;
      specs_.push_back({name, TensorDesc(DType::kF32, {static_cast<int64_t>(blob.size())}), kind});
      blobs_.push_back(&blob);
    };
    add("master", master, StateKind::kOfModel);
    add("m", m, StateKind::kOfOptimizer);
    add("v", v, StateKind::kOfOptimizer);
    add("encoder.mean", mean, StateKind::kOfModel);
    return specs_;
  }
  void read(size_t index, const BlockTaker& take) const override {
    take(std::as_bytes(std::span(*blobs_[index])));
  }
  BlockTarget target(size_t index) override {
    const auto bytes =
        std::as_writable_bytes(std::span(const_cast<std::vector<float>&>(*blobs_[index])));
    return {[bytes](uint64_t offset, uint64_t count) { return bytes.subspan(offset, count); }};
  }

  std::vector<float> master, m, v, mean;

 private:
  mutable std::vector<StateSpec> specs_;
  mutable std::vector<const std::vector<float>*> blobs_;
};

// Whether the checkpoint with this content is refused as R2 wants it: an Error{kModel} of one line.
inline bool is_refused(std::string_view content, uint64_t elems, const std::string& identity) {
  testing::MemoryFileSystem fs(content);
  try {
    VectorBlobs blobs(elems);
    load_checkpoint("checkpoint", blobs, is(identity), fs);
  } catch (const Error& error) {
    const bool is_one_line = std::string_view(error.what()).find('\n') == std::string_view::npos;
    return error.code() == ErrorCode::kModel && is_one_line;
  }
  return false;
}

}  // namespace diabolo
