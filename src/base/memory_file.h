// Bytes in memory where a file is expected: what reads files, with all its checks, reads them.
#pragma once

#include <cstddef>
#include <span>

#include "base/file_system.h"

namespace diabolo {

// Every path is the bytes, which are borrowed; they are read, never written. Thread-safe.
class MemoryFile final : public FileSystem {
 public:
  explicit MemoryFile(std::span<const std::byte> bytes) : bytes_(bytes) {}

  int open(const char* path, int flags, mode_t mode) override;
  int close(int fd) override;
  ssize_t read(int fd, void* data, size_t bytes) override;
  ssize_t pread(int fd, void* data, size_t bytes, int64_t offset) override;
  int fstat(int fd, struct stat* out) override;

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace diabolo
