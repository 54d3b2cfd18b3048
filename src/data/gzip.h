// Unpacking gzip files from front to back, never more than is asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "data/source.h"

namespace diabolo {

bool is_gzip(std::span<const std::byte> head);

// One file, several members one after another and zeros after the last included. The source is
// borrowed.
class GzipReader {
 public:
  // Deflate makes at most 1032 bytes of one (258 bytes for two bits, and block headers).
  static constexpr uint64_t kMaxRatio = 1032;

  explicit GzipReader(const ByteSource& source);
  ~GzipReader();
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;

  // Fills destination as far as the content goes; returns the bytes read.
  size_t read(std::span<std::byte> destination);
  // Fills destination; Error{kData} if the content ends before ("ends within its WHAT") or is
  // damaged.
  void next(std::span<std::byte> destination, const char* what);
  // Error{kData} unless the content ends here and its checksum is right.
  void expect_end();

 private:
  struct State;
  bool refill();
  bool goes_on();

  const ByteSource& source_;
  std::unique_ptr<State> state_;
};

}  // namespace diabolo
