// Files that exist in memory only, for tests that open hundreds of thousands of them.
#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <string_view>

#include "base/file_system.h"

namespace diabolo::testing {

// One file, under every path. Borrows its content. For one thread.
class MemoryFileSystem final : public FileSystem {
 public:
  enum class Kind { kRegular, kPipe };
  explicit MemoryFileSystem(std::string_view content, Kind kind = Kind::kRegular)
      : content_(content), kind_(kind) {}

  int open(const char*, int, mode_t) override {
    position_ = 0;
    return kDescriptor;
  }
  int close(int) override { return 0; }
  ssize_t read(int, void* data, size_t bytes) override {
    const ssize_t n = pread(kDescriptor, data, bytes, static_cast<int64_t>(position_));
    position_ += static_cast<size_t>(n);
    return n;
  }
  ssize_t pread(int, void* data, size_t bytes, int64_t offset) override {
    const auto start = std::min(static_cast<size_t>(offset), content_.size());
    const size_t n = std::min(bytes, content_.size() - start);
    if (n > 0) std::memcpy(data, content_.data() + start, n);
    return static_cast<ssize_t>(n);
  }
  int fstat(int, struct stat* out) override {
    *out = {};
    out->st_mode = kind_ == Kind::kRegular ? S_IFREG : S_IFIFO;
    out->st_size = static_cast<off_t>(content_.size());
    return 0;
  }

 private:
  static constexpr int kDescriptor = 1'000'000;  // no real one
  std::string_view content_;
  Kind kind_;
  size_t position_ = 0;
};

}  // namespace diabolo::testing
