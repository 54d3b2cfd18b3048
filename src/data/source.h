// The bytes of a data file as the formats read them: first a header from front to back, then rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace diabolo {

class ByteSource {
 public:
  static constexpr size_t kHeadBytes = 16;

  static ByteSource open(const std::string& path, FileSystem* fs);

  const std::string& name() const { return file_.name(); }
  // Whether the name ends so, in capitals or not; end: in small letters.
  bool is_called(std::string_view end) const;
  const File& file() const { return file_; }
  bool is_stream() const { return !file_.is_regular(); }
  // Nothing for a stream.
  std::optional<uint64_t> size_bytes() const;

  // The first bytes, kHeadBytes or all there are. Does not move the position.
  std::span<const std::byte> head() const { return head_; }
  // Bytes handed out by next and read so far.
  uint64_t position() const { return position_; }

  // Fills destination with what follows; returns the bytes read, fewer only at the end.
  size_t read(std::span<std::byte> destination);
  // The same, but the end before destination is full is an error: "ends within its WHAT".
  void next(std::span<std::byte> destination, const char* what);
  // Fills destination from an offset; not for streams. Does not move the position. Thread-safe.
  void pread(uint64_t offset, std::span<std::byte> destination) const {
    file_.pread(offset, destination);
  }

  // Throws Error{kData} "NAME: text".
  [[noreturn]] void fail(const std::string& text) const { file_.fail(text); }

 private:
  explicit ByteSource(File file) : file_(std::move(file)) {}

  File file_;
  std::vector<std::byte> head_;
  uint64_t position_ = 0;
};

}  // namespace diabolo
