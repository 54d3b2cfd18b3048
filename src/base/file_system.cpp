#include "base/file_system.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/checked.h"

namespace diabolo {

int FileSystem::open(const char* path, int flags, mode_t mode) {
  return ::open(path, flags, mode);
}
int FileSystem::close(int fd) {
  return ::close(fd);
}
ssize_t FileSystem::read(int fd, void* data, size_t bytes) {
  return ::read(fd, data, bytes);
}
ssize_t FileSystem::pread(int fd, void* data, size_t bytes, int64_t offset) {
  return ::pread(fd, data, bytes, offset);
}
ssize_t FileSystem::write(int fd, const void* data, size_t bytes) {
  return ::write(fd, data, bytes);
}
ssize_t FileSystem::pwrite(int fd, const void* data, size_t bytes, int64_t offset) {
  return ::pwrite(fd, data, bytes, offset);
}
int FileSystem::fstat(int fd, struct stat* out) {
  return ::fstat(fd, out);
}
int FileSystem::stat(const char* path, struct stat* out) {
  return ::stat(path, out);
}
int FileSystem::fsync(int fd) {
  return ::fsync(fd);
}
int FileSystem::ftruncate(int fd, int64_t bytes) {
  return ::ftruncate(fd, bytes);
}
int FileSystem::rename(const char* from, const char* to) {
  return ::rename(from, to);
}
int FileSystem::unlink(const char* path) {
  return ::unlink(path);
}
int FileSystem::lock(int fd) {
  return ::flock(fd, LOCK_EX | LOCK_NB);
}
void FileSystem::start_write_back(int fd, int64_t offset, int64_t bytes) {
  (void)::sync_file_range(fd, offset, bytes, SYNC_FILE_RANGE_WRITE);
}
int FileSystem::free_bytes(const char* path, uint64_t* out) {
  struct statvfs info {};
  if (::statvfs(path, &info) != 0) return -1;
  const auto bytes = checked_mul<uint64_t>(info.f_bavail, info.f_frsize);
  *out = bytes.value_or(UINT64_MAX);
  return 0;
}

FileSystem& real_file_system() {
  static FileSystem fs;
  return fs;
}

}  // namespace diabolo
