// System calls with their small print: repeated when interrupted, continued when short. Shared by
// the readers and the writers of base/; nobody else needs it.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/file.h"
#include "base/file_system.h"

namespace diabolo {

// A signal storm that never ends is reported as an error instead of hanging.
inline constexpr int kMaxInterruptions = 1000;

// call(), again while it fails with EINTR.
template <class Call>
auto uninterrupted(const Call& call) {
  auto result = call();
  for (int i = 0; result < 0 && errno == EINTR && i < kMaxInterruptions; ++i) result = call();
  return result;
}

// What a transfer of several calls came to.
struct Transfer {
  size_t bytes = 0;
  int error = 0;  // errno; 0 if all went well, an early end of a file included
};

Transfer read_fully(FileSystem& fs, int fd, std::span<std::byte> destination);
Transfer pread_fully(FileSystem& fs, int fd, std::span<std::byte> destination, uint64_t offset);
Transfer write_fully(FileSystem& fs, int fd, std::span<const std::byte> bytes);
Transfer pwrite_fully(FileSystem& fs, int fd, std::span<const std::byte> bytes, uint64_t offset);

// "No space left on device"
std::string error_text(int error);

// Error{kResource} "PATH: cannot ACTION: TEXT"; kClosedPipe for EPIPE.
[[noreturn]] void fail_write(const std::string& path, const char* action, int error);

// The folder that holds path; "." where path names none.
std::string parent_folder(const std::string& path);

// Flushes the folder that holds path, so that a rename in it survives a power failure.
void flush_folder(FileSystem& fs, const std::string& path);

// Throws Error{kUsage} if there is something under that name that a whole file cannot replace: a
// folder, a device.
void require_replaceable(FileSystem& fs, const std::string& path);

// path, or where it leads if it is a symbolic link to something.
std::string resolve_link(const std::string& path);

}  // namespace diabolo
