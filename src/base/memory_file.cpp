#include "base/memory_file.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace diabolo {

namespace {

constexpr int kAnyDescriptor = 1000;  // only ever seen by this class

}  // namespace

int MemoryFile::open(const char*, int flags, mode_t) {
  if ((flags & O_ACCMODE) == O_RDONLY) return kAnyDescriptor;
  errno = EROFS;
  return -1;
}

int MemoryFile::close(int) {
  return 0;
}

// A regular file is read by pread.
ssize_t MemoryFile::read(int, void*, size_t) {
  errno = ENOSYS;
  return -1;
}

ssize_t MemoryFile::pread(int, void* data, size_t bytes, int64_t offset) {
  const size_t from = std::min(static_cast<size_t>(std::max<int64_t>(offset, 0)), bytes_.size());
  const size_t count = std::min(bytes, bytes_.size() - from);
  if (count > 0) std::memcpy(data, bytes_.data() + from, count);
  return static_cast<ssize_t>(count);
}

int MemoryFile::fstat(int, struct stat* out) {
  *out = {};
  out->st_mode = S_IFREG | S_IRUSR;
  out->st_size = static_cast<off_t>(bytes_.size());
  return 0;
}

}  // namespace diabolo
