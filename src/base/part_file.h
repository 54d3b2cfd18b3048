// One of the files of a partial output, under its name TARGET.partial: what PartialWriter does to
// each. The content is hashed as it is written, all but the header, which may be replaced.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/file.h"
#include "base/file_lock.h"
#include "base/hash.h"

namespace diabolo {

class PartFile {
 public:
  // Opens the file, made where it is missing, and locks it. target: with links resolved. Throws
  // Error{kBusy} if another process has it.
  PartFile(const std::string& target, uint64_t header_bytes, FileSystem& fs);

  const std::string& path() const { return path_; }
  const std::string& target() const { return target_; }
  bool is_open() const { return descriptor_.is_open(); }
  // Whether the file was not there before.
  bool is_new() const { return descriptor_.is_new(); }
  bool has_content() const;
  uint64_t size_bytes() const { return size_bytes_; }
  std::string hash() const { return hasher_.digest().hex(); }

  void clear();
  // What follows the first `bytes` goes. Throws Error{kStale} unless they have that hash, which is
  // then the state of this one.
  void continue_at(uint64_t bytes, const std::string& expected_hash);
  void write(std::span<const std::byte> bytes);
  void write_at(uint64_t offset, std::span<const std::byte> bytes);  // within the header
  void flush();
  void rename();  // to the target
  void remove();
  void close();

 private:
  std::string target_, path_;
  uint64_t header_bytes_;
  LockedFile descriptor_;
  Hasher hasher_;
  uint64_t size_bytes_ = 0;
  uint64_t sent_bytes_ = 0;  // the system was told to write so much back
};

// The hash of what follows the header of a file of at least `bytes`, up to there.
Hasher content_hash_of(const File& file, uint64_t header_bytes, uint64_t bytes);

}  // namespace diabolo
