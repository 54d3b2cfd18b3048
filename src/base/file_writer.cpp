#include "base/file_writer.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "base/checked.h"
#include "base/file_calls.h"

namespace diabolo {
namespace {

constexpr int kStandardOutput = 1;

std::string temporary_name(const std::string& target) {
  const std::filesystem::path path(target);
  return (path.parent_path() / cat(".", path.filename().string(), ".diabolo-tmp")).string();
}

void check_rewrite(uint64_t offset, size_t bytes, uint64_t size_bytes) {
  const auto end = checked_add<uint64_t>(offset, bytes);
  DIABOLO_CHECK(end && *end <= size_bytes, offset, "+", bytes, " of ", size_bytes);
}

}  // namespace

AtomicWriter::AtomicWriter(std::string target, FileSystem& fs) : target_(resolve_link(target)) {
  require_replaceable(fs, target_);
  temporary_ = temporary_name(target_);
  descriptor_ = open_locked(fs, temporary_);
  if (uninterrupted([&] { return fs.ftruncate(descriptor_.get(), 0); }) != 0) {
    const int error = errno;
    fs.unlink(temporary_.c_str());
    fail_write(target_, "write", error);
  }
}

AtomicWriter::~AtomicWriter() {
  // While the descriptor is open the name is locked, so it is this writer's file that goes.
  if (descriptor_.is_open() && !is_renamed_) descriptor_.fs().unlink(temporary_.c_str());
}

void AtomicWriter::write(std::span<const std::byte> bytes) {
  const auto done = write_fully(descriptor_.fs(), descriptor_.get(), bytes);
  if (done.error != 0) fail_write(target_, "write", done.error);
  size_bytes_ += bytes.size();
}

void AtomicWriter::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  check_rewrite(offset, bytes.size(), size_bytes_);
  const auto done = pwrite_fully(descriptor_.fs(), descriptor_.get(), bytes, offset);
  if (done.error != 0) fail_write(target_, "write", done.error);
}

void AtomicWriter::commit() {
  DIABOLO_CHECK(!is_renamed_, target_);
  FileSystem& fs = descriptor_.fs();
  if (uninterrupted([&] { return fs.fsync(descriptor_.get()); }) != 0)
    fail_write(target_, "flush to disk", errno);
  if (uninterrupted([&] { return fs.rename(temporary_.c_str(), target_.c_str()); }) != 0)
    fail_write(target_, "rename the temporary file", errno);
  is_renamed_ = true;
  flush_folder(fs, target_);
  if (const int error = descriptor_.close(); error != 0) fail_write(target_, "close", error);
}

StreamWriter::StreamWriter(const std::string& path, FileSystem& fs) {
  if (path == "-") {
    name_ = "standard output";
    descriptor_ = Descriptor(fs, kStandardOutput);
    return;
  }
  name_ = path;
  const int fd = uninterrupted([&] { return fs.open(path.c_str(), O_WRONLY | O_CLOEXEC, 0); });
  if (fd < 0) fail_write(path, "open", errno);
  descriptor_ = Descriptor(fs, fd);
}

void StreamWriter::write(std::span<const std::byte> bytes) {
  const auto done = write_fully(descriptor_.fs(), descriptor_.get(), bytes);
  if (done.error != 0) fail_write(name_, "write", done.error);
}

void StreamWriter::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  DIABOLO_CHECK(can_rewrite(), name_, ": ", bytes.size(), " bytes at ", offset);
}

void StreamWriter::commit() {
  if (const int error = descriptor_.close(); error != 0) fail_write(name_, "close", error);
}

AppendWriter::AppendWriter(std::string path, uint64_t keep_bytes, FileSystem& fs)
    : path_(std::move(path)) {
  const int fd =
      uninterrupted([&] { return fs.open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666); });
  if (fd < 0) fail_write(path_, "open", errno);
  descriptor_ = Descriptor(fs, fd);
  struct stat info {};
  if (uninterrupted([&] { return fs.fstat(fd, &info); }) != 0) fail_write(path_, "examine", errno);
  size_bytes_ = static_cast<uint64_t>(info.st_size);
  if (size_bytes_ <= keep_bytes) return;
  const auto kept = static_cast<int64_t>(keep_bytes);
  if (uninterrupted([&] { return fs.ftruncate(fd, kept); }) != 0) fail_write(path_, "write", errno);
  size_bytes_ = keep_bytes;
}

void AppendWriter::write(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  const auto done = pwrite_fully(descriptor_.fs(), descriptor_.get(), bytes, size_bytes_);
  if (done.error != 0) fail_write(path_, "write", done.error);
  size_bytes_ += bytes.size();
}

void AppendWriter::flush() {
  if (uninterrupted([&] { return descriptor_.fs().fsync(descriptor_.get()); }) != 0)
    fail_write(path_, "flush to disk", errno);
}

bool is_stream_path(const std::string& path, FileSystem& fs) {
  struct stat info {};
  return path == "-" ||
         (fs.stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode));
}

void write_file(const std::string& path, std::string_view text, FileSystem& fs) {
  AtomicWriter writer(path, fs);
  writer.write(text);
  writer.commit();
}

}  // namespace diabolo
