// The system calls that reading and writing files is made of, as a table that a test can replace by
// one that fails, counts, shortens or kills. Nothing else in diabolo calls them.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace diabolo {

// Each function behaves as the system call of its name: -1 and errno on failure. EINTR and short
// counts are left to the callers (base/file.h). Thread-safe.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual int open(const char* path, int flags, mode_t mode);
  virtual int close(int fd);
  virtual ssize_t read(int fd, void* data, size_t bytes);
  virtual ssize_t pread(int fd, void* data, size_t bytes, int64_t offset);
  virtual ssize_t write(int fd, const void* data, size_t bytes);
  virtual ssize_t pwrite(int fd, const void* data, size_t bytes, int64_t offset);
  virtual int fstat(int fd, struct stat* out);
  virtual int stat(const char* path, struct stat* out);
  virtual int fsync(int fd);
  virtual int ftruncate(int fd, int64_t bytes);
  virtual int rename(const char* from, const char* to);
  virtual int unlink(const char* path);
  virtual int lock(int fd);  // flock(LOCK_EX | LOCK_NB)
  // A hint, which may be left undone: that bytes written should go to disk now
  // (SYNC_FILE_RANGE_WRITE).
  virtual void start_write_back(int fd, int64_t offset, int64_t bytes);
  // Bytes that an ordinary user may still write on the file system of path.
  virtual int free_bytes(const char* path, uint64_t* out);
};

// The real one. Lives as long as the process.
FileSystem& real_file_system();

}  // namespace diabolo
