// What tests of checkpoints share.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/memory_file_system.h"
#include "run/checkpoint.h"

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

// The blobs of a checkpoint in vectors; those that are empty do not exist.
class VectorBlobs final : public StateBlobs {
 public:
  explicit VectorBlobs(uint64_t elems) : elems_(elems), master(elems), m(elems), v(elems) {}

  uint64_t elems() const override { return elems_; }
  bool has(const std::string& name) const override { return !blob(name).empty(); }
  void read(const std::string& name, const BlockTaker& take) const override {
    take(std::as_bytes(std::span(blob(name))));
  }
  BlockTarget target(const std::string& name) override {
    const auto bytes =
        std::as_writable_bytes(std::span(const_cast<std::vector<float>&>(blob(name))));
    return {[bytes](uint64_t offset, uint64_t count) { return bytes.subspan(offset, count); }};
  }

 private:
  const std::vector<float>& blob(const std::string& name) const {
    return name == "master" ? master : name == "m" ? m : v;
  }
  uint64_t elems_;

 public:
  std::vector<float> master, m, v;
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
