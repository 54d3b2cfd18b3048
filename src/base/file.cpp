#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "base/checked.h"
#include "base/file_calls.h"
#include "base/hash.h"

namespace diabolo {
namespace {

constexpr int kStandardInput = 0;
constexpr uint64_t kIdentityBytes = 64 << 10;  // hashed at either end

int64_t change_time_ns(const struct stat& info) {
  return static_cast<int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec;
}

// Descriptors up to standard error belong to the process.
constexpr int kLastStandard = 2;

}  // namespace

Descriptor::Descriptor(Descriptor&& other) noexcept
    : fs_(other.fs_), fd_(std::exchange(other.fd_, -1)) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    reset();
    fs_ = other.fs_;
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void Descriptor::reset() {
  const int saved = errno;
  close();
  errno = saved;
}

int Descriptor::close() {
  const int fd = std::exchange(fd_, -1);
  if (fd <= kLastStandard) return 0;
  // Linux closes the descriptor even where it says EINTR.
  return fs_->close(fd) != 0 && errno != EINTR ? errno : 0;
}

void File::fail(const std::string& text) const {
  throw Error(code_, cat(name_, ": ", text));
}

File File::open(const std::string& path, const ReadOptions& options) {
  FileSystem& fs = options.fs ? *options.fs : real_file_system();
  File file;
  file.code_ = options.code;
  if (path == "-") {
    file.name_ = "standard input";
    file.descriptor_ = Descriptor(fs, kStandardInput);
    return file;
  }
  file.name_ = path;
  const int fd = uninterrupted([&] { return fs.open(path.c_str(), O_RDONLY | O_CLOEXEC, 0); });
  if (fd < 0) file.fail(cat("cannot open: ", error_text(errno)));
  file.descriptor_ = Descriptor(fs, fd);
  struct stat info {};
  if (uninterrupted([&] { return fs.fstat(fd, &info); }) != 0)
    file.fail(cat("cannot examine: ", error_text(errno)));
  if (S_ISDIR(info.st_mode)) file.fail("is a folder; a file is expected");
  file.is_regular_ = S_ISREG(info.st_mode);
  if (file.is_regular_) {
    file.size_bytes_ = static_cast<uint64_t>(info.st_size);
    file.changed_ns_ = change_time_ns(info);
  }
  return file;
}

void File::pread(uint64_t offset, std::span<std::byte> destination) const {
  DIABOLO_CHECK(is_regular_, name_);
  const auto end = checked_add<uint64_t>(offset, destination.size());
  if (!end || *end > static_cast<uint64_t>(INT64_MAX)) fail("is read beyond any possible end");
  const auto done = pread_fully(descriptor_.fs(), descriptor_.get(), destination, offset);
  if (done.error != 0)
    fail(cat("cannot read at byte ", offset + done.bytes, ": ", error_text(done.error)));
  if (done.bytes < destination.size())
    fail(
        cat("ends at byte ", offset + done.bytes, ", expected ", *end, " at least; it is cut off"));
}

size_t File::read(std::span<std::byte> destination) {
  const auto done = read_fully(descriptor_.fs(), descriptor_.get(), destination);
  if (done.error != 0) fail(cat("cannot read: ", error_text(done.error)));
  return done.bytes;
}

std::string File::identity() const {
  DIABOLO_CHECK(is_regular_, name_);
  const uint64_t part_bytes = std::min(size_bytes_, kIdentityBytes);
  std::vector<std::byte> part(part_bytes);
  Hasher hasher;
  pread(0, part);
  hasher.update(part);
  pread(size_bytes_ - part_bytes, part);
  hasher.update(part);
  return cat(size_bytes_, ":", changed_ns_, ":", hasher.digest().hex());
}

std::string File::content_identity() const {
  DIABOLO_CHECK(is_regular_, name_);
  constexpr uint64_t kPartBytes = uint64_t{1} << 20;
  std::vector<std::byte> part(std::min(size_bytes_, kPartBytes));
  Hasher hasher;
  for (uint64_t offset = 0; offset < size_bytes_; offset += part.size()) {
    part.resize(std::min(size_bytes_ - offset, kPartBytes));
    pread(offset, part);
    hasher.update(part);
  }
  return cat(size_bytes_, ":", hasher.digest().hex());
}

std::string read_file(const std::string& path, uint64_t max_bytes, const ReadOptions& options) {
  constexpr size_t kStepBytes = 64 << 10;
  File file = File::open(path, options);
  if (file.is_regular() && file.size_bytes() > max_bytes)
    file.fail(cat("has ", file.size_bytes(), " bytes, expected at most ", max_bytes));
  std::string text;
  // The size at the opening is a hint only: the file may be growing, and in /proc it is 0.
  while (true) {
    const size_t start = text.size();
    text.resize(start + kStepBytes);
    const size_t n = file.read(std::as_writable_bytes(std::span(text).subspan(start)));
    text.resize(start + n);
    if (text.size() > max_bytes) file.fail(cat("has more than the ", max_bytes, " bytes allowed"));
    if (n < kStepBytes) return text;
  }
}

bool path_exists(const std::string& path, const ReadOptions& options) {
  FileSystem& fs = options.fs ? *options.fs : real_file_system();
  struct stat info {};
  if (uninterrupted([&] { return fs.stat(path.c_str(), &info); }) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  throw Error(options.code, cat(path, ": cannot examine: ", error_text(errno)));
}

bool is_same_file(const std::string& path, const std::string& other, FileSystem& fs) {
  struct stat a {
  }, b{};
  return uninterrupted([&] { return fs.stat(path.c_str(), &a); }) == 0 &&
         uninterrupted([&] { return fs.stat(other.c_str(), &b); }) == 0 && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino;
}

uint64_t free_disk_bytes(const std::string& path, FileSystem& fs) {
  const std::string folder = parent_folder(resolve_link(path));
  uint64_t bytes = 0;
  if (uninterrupted([&] { return fs.free_bytes(folder.c_str(), &bytes); }) != 0)
    fail_write(folder, "use the folder of the output", errno);
  return bytes;
}

void require_free_disk(const std::string& path, uint64_t bytes, FileSystem& fs) {
  const uint64_t free = free_disk_bytes(path, fs);
  if (free < bytes) {
    throw Error(ErrorCode::kResource, cat(path, ": needs ", bytes, " bytes of disk space, ", free,
                                          " are free; make room or choose another place"));
  }
}

}  // namespace diabolo
