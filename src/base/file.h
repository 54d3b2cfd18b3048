// Reading files: by offset, the whole count or an error, never by mapping (a mapped file that
// shrinks kills its reader). Writing is base/file_writer.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/file_system.h"

namespace diabolo {

// An open file descriptor; closes it, but for standard input, output and error. Movable.
class Descriptor {
 public:
  Descriptor() = default;
  Descriptor(FileSystem& fs, int fd) : fs_(&fs), fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor() { reset(); }

  bool is_open() const { return fd_ >= 0; }
  int get() const { return fd_; }
  FileSystem& fs() const { return *fs_; }
  void reset();
  // Closes and returns 0, or errno where close reports a late write error.
  int close();
  // The number, which from here on is the caller's to close.
  int release() { return std::exchange(fd_, -1); }

 private:
  FileSystem* fs_ = nullptr;
  int fd_ = -1;
};

// Who reads decides what a failure means.
struct ReadOptions {
  ErrorCode code = ErrorCode::kData;  // of every Error thrown for this file; kModel for models
  FileSystem* fs = nullptr;           // null: the real one
};

// A file opened for reading, or standard input (path "-"). pread is thread-safe, read is not.
// Every failure is Error{options.code}, "PATH: what happened".
class File {
 public:
  // Throws for a directory, and for what cannot be opened.
  static File open(const std::string& path, const ReadOptions& options = {});

  // The path as given; "standard input" for "-".
  const std::string& name() const { return name_; }
  ErrorCode code() const { return code_; }

  // A regular file has a size and takes pread; all else (pipe, terminal, device) is a stream that
  // only read serves.
  bool is_regular() const { return is_regular_; }
  // Of the regular file when it was opened.
  uint64_t size_bytes() const { return size_bytes_; }

  // Fills destination from offset. Throws if the file ends before that ("ends at byte …").
  void pread(uint64_t offset, std::span<std::byte> destination) const;

  // Fills destination with what comes next; returns the bytes read, fewer only at the end.
  size_t read(std::span<std::byte> destination);

  // For telling whether a file is still the same one: size, time of change to the nanosecond and
  // the hash of the first and the last 64 KiB, as text without spaces. Regular files only.
  std::string identity() const;

  // Tells this content from any other, wherever it lies and whenever it was written: size and hash
  // of all its bytes, as text without spaces. Reads the whole file. Regular files only.
  std::string content_identity() const;

  // Throws Error{code()} "NAME: text".
  [[noreturn]] void fail(const std::string& text) const;

 private:
  File() = default;

  Descriptor descriptor_;
  std::string name_;
  ErrorCode code_ = ErrorCode::kData;
  bool is_regular_ = false;
  uint64_t size_bytes_ = 0;
  int64_t changed_ns_ = 0;
};

// The whole content of a file or stream. Throws if it is longer than max_bytes.
std::string read_file(const std::string& path, uint64_t max_bytes, const ReadOptions& options = {});

// Whether anything is at path. Throws Error{code} only where that cannot be told.
bool path_exists(const std::string& path, const ReadOptions& options = {});

// Whether both paths lead to one file; false where one cannot be looked at.
bool is_same_file(const std::string& path, const std::string& other,
                  FileSystem& fs = real_file_system());

// Bytes still free on the file system that would hold path (which need not exist).
// Throws Error{kResource} where that cannot be told.
uint64_t free_disk_bytes(const std::string& path, FileSystem& fs = real_file_system());

// Throws Error{kResource} naming both sizes if fewer than bytes are free where path would lie.
void require_free_disk(const std::string& path, uint64_t bytes,
                       FileSystem& fs = real_file_system());

}  // namespace diabolo
