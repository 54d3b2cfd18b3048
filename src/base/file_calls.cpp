#include "base/file_calls.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace diabolo {
namespace {

// Calls step(done, rest) until size bytes are through, it returns 0 (end of file) or it fails.
template <class Step>
Transfer repeat(size_t size, const Step& step) {
  Transfer transfer;
  while (transfer.bytes < size) {
    const ssize_t n = uninterrupted([&] { return step(transfer.bytes, size - transfer.bytes); });
    if (n < 0) {
      transfer.error = errno;
      break;
    }
    if (n == 0) break;
    transfer.bytes += static_cast<size_t>(n);
  }
  return transfer;
}

// A write that moves nothing and says no error would loop for ever: it counts as one.
Transfer without_standstill(Transfer transfer, size_t size) {
  if (transfer.error == 0 && transfer.bytes < size) transfer.error = EIO;
  return transfer;
}

}  // namespace

Transfer read_fully(FileSystem& fs, int fd, std::span<std::byte> destination) {
  return repeat(destination.size(), [&](size_t done, size_t rest) {
    return fs.read(fd, destination.data() + done, rest);
  });
}

Transfer pread_fully(FileSystem& fs, int fd, std::span<std::byte> destination, uint64_t offset) {
  return repeat(destination.size(), [&](size_t done, size_t rest) {
    return fs.pread(fd, destination.data() + done, rest, static_cast<int64_t>(offset + done));
  });
}

Transfer write_fully(FileSystem& fs, int fd, std::span<const std::byte> bytes) {
  const auto transfer = repeat(bytes.size(), [&](size_t done, size_t rest) {
    return fs.write(fd, bytes.data() + done, rest);
  });
  return without_standstill(transfer, bytes.size());
}

Transfer pwrite_fully(FileSystem& fs, int fd, std::span<const std::byte> bytes, uint64_t offset) {
  const auto transfer = repeat(bytes.size(), [&](size_t done, size_t rest) {
    return fs.pwrite(fd, bytes.data() + done, rest, static_cast<int64_t>(offset + done));
  });
  return without_standstill(transfer, bytes.size());
}

std::string error_text(int error) {
  return std::generic_category().message(error);
}

void fail_write(const std::string& path, const char* action, int error) {
  const ErrorCode code = error == EPIPE ? ErrorCode::kClosedPipe : ErrorCode::kResource;
  throw Error(code, cat(path, ": cannot ", action, ": ", error_text(error)));
}

std::string parent_folder(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

void flush_folder(FileSystem& fs, const std::string& path) {
  const std::string folder = parent_folder(path);
  const int fd =
      uninterrupted([&] { return fs.open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0); });
  if (fd < 0) fail_write(folder, "open the folder", errno);
  const Descriptor descriptor(fs, fd);
  // Some network file systems do not flush folders and say EINVAL; there is nothing to wait for.
  if (uninterrupted([&] { return fs.fsync(fd); }) != 0 && errno != EINVAL)
    fail_write(folder, "flush the folder to disk", errno);
}

void require_replaceable(FileSystem& fs, const std::string& path) {
  struct stat info {};
  if (fs.stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode))
    throw Error(ErrorCode::kUsage, cat(path, ": is not a regular file; choose another output"));
}

// Link by link, since what the last one points to need not be there yet.
std::string resolve_link(const std::string& path) {
  constexpr int kMostLinks = 40;  // as many as Linux follows
  std::filesystem::path target = path;
  for (int links = 0; links < kMostLinks; ++links) {
    std::error_code error;
    if (!std::filesystem::is_symlink(target, error)) return target.string();
    const auto next = std::filesystem::read_symlink(target, error);
    if (error) break;
    target = target.parent_path() / next;  // next itself where it is absolute
  }
  throw Error(ErrorCode::kUsage,
              cat(path, ": is a link that leads nowhere; choose another output"));
}

}  // namespace diabolo
