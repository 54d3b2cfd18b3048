// An operand on a device between two guards.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "backend/backend.h"

namespace diabolo::selftest {

// `bytes` bytes, `shift` bytes past an address that is 256-byte aligned, with kGuardBytes of 0xff
// (NaN in every float type) on each side.
class Guarded {
 public:
  static constexpr uint64_t kGuardBytes = 256;

  Guarded(Backend& backend, uint64_t bytes, uint64_t shift)
      : bytes_(bytes), begin_(kGuardBytes + shift), image_(begin_ + bytes + kGuardBytes) {
    buffer_ = Buffer(backend, image_.size());
  }

  void* data() const { return static_cast<std::byte*>(buffer_.data()) + begin_; }

  // Enqueues writing the content, or `garbage` everywhere in it, and the guards.
  void write(const std::vector<std::byte>& content, Stream& stream) {
    std::fill(image_.begin(), image_.end(), std::byte{0xff});
    std::copy(content.begin(), content.end(), image_.begin() + static_cast<ptrdiff_t>(begin_));
    stream.copy_in(buffer_.data(), image_.data(), image_.size());
  }
  void write_garbage(std::byte garbage, Stream& stream) {
    write(std::vector<std::byte>(bytes_, garbage), stream);
  }

  // Enqueues reading all of it back; after the stream is synchronised, content() and is_intact().
  void read(Stream& stream) { stream.copy_out(image_.data(), buffer_.data(), image_.size()); }
  std::vector<std::byte> content() const {
    const auto first = image_.begin() + static_cast<ptrdiff_t>(begin_);
    return {first, first + static_cast<ptrdiff_t>(bytes_)};
  }
  bool is_zeros() const {
    for (uint64_t k = begin_; k < begin_ + bytes_; ++k)
      if (image_[k] != std::byte{}) return false;
    return true;
  }
  bool guards_are_intact() const {
    for (uint64_t k = 0; k < image_.size(); ++k) {
      const bool is_guard = k < begin_ || k >= begin_ + bytes_;
      if (is_guard && image_[k] != std::byte{0xff}) return false;
    }
    return true;
  }

 private:
  uint64_t bytes_, begin_;
  std::vector<std::byte> image_;
  Buffer buffer_;
};

}  // namespace diabolo::selftest
