#include "base/part_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/file_calls.h"

namespace diabolo {

PartFile::PartFile(const std::string& target, uint64_t header_bytes, FileSystem& fs)
    : target_(target),
      path_(target + ".partial"),
      header_bytes_(header_bytes),
      descriptor_(open_locked(fs, path_)) {}

bool PartFile::has_content() const {
  struct stat info {};
  if (uninterrupted([&] { return descriptor_.fs().fstat(descriptor_.get(), &info); }) != 0)
    fail_write(path_, "examine", errno);
  return info.st_size > 0;
}

void PartFile::clear() {
  FileSystem& fs = descriptor_.fs();
  if (uninterrupted([&] { return fs.ftruncate(descriptor_.get(), 0); }) == 0) return;
  const int error = errno;
  remove();
  fail_write(path_, "write", error);
}

void PartFile::continue_at(uint64_t bytes, const std::string& expected_hash) {
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorCode::kStale, cat(path_, ": ", what, "; run again without --resume"));
  };
  FileSystem& fs = descriptor_.fs();
  const File file = File::open(path_, {.fs = &fs});
  if (bytes < header_bytes_ || bytes > file.size_bytes())
    fail(cat("has ", file.size_bytes(), " bytes, its journal says ", bytes));
  hasher_ = content_hash_of(file, header_bytes_, bytes);
  if (hash() != expected_hash) fail("does not have the content that its journal says");
  // Bytes after the checkpoint may or may not have reached the disk.
  const auto kept = static_cast<int64_t>(bytes);
  if (uninterrupted([&] { return fs.ftruncate(descriptor_.get(), kept); }) != 0)
    fail_write(path_, "write", errno);
  size_bytes_ = sent_bytes_ = bytes;
}

void PartFile::write(std::span<const std::byte> bytes) {
  const auto done = pwrite_fully(descriptor_.fs(), descriptor_.get(), bytes, size_bytes_);
  if (done.error != 0) fail_write(path_, "write", done.error);
  const uint64_t unhashed = header_bytes_ - std::min(header_bytes_, size_bytes_);
  hasher_.update(bytes.subspan(std::min<uint64_t>(unhashed, bytes.size())));
  size_bytes_ += bytes.size();
  // What goes to disk meanwhile, the flush at the end need not wait for.
  constexpr uint64_t kSendBytes = uint64_t{4} << 20;
  if (size_bytes_ - sent_bytes_ < kSendBytes) return;
  descriptor_.fs().start_write_back(descriptor_.get(), static_cast<int64_t>(sent_bytes_),
                                    static_cast<int64_t>(size_bytes_ - sent_bytes_));
  sent_bytes_ = size_bytes_;
}

void PartFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  DIABOLO_CHECK(offset <= header_bytes_ && bytes.size() <= header_bytes_ - offset &&
                    header_bytes_ <= size_bytes_,
                offset, "+", bytes.size(), " of a header of ", header_bytes_);
  const auto done = pwrite_fully(descriptor_.fs(), descriptor_.get(), bytes, offset);
  if (done.error != 0) fail_write(path_, "write", done.error);
}

void PartFile::flush() {
  if (uninterrupted([&] { return descriptor_.fs().fsync(descriptor_.get()); }) != 0)
    fail_write(path_, "flush to disk", errno);
}

void PartFile::rename() {
  FileSystem& fs = descriptor_.fs();
  if (uninterrupted([&] { return fs.rename(path_.c_str(), target_.c_str()); }) != 0)
    fail_write(target_, "rename the partial file", errno);
}

void PartFile::remove() {
  descriptor_.fs().unlink(path_.c_str());
}

void PartFile::close() {
  if (const int error = descriptor_.close(); error != 0) fail_write(target_, "close", error);
}

Hasher content_hash_of(const File& file, uint64_t header_bytes, uint64_t bytes) {
  constexpr uint64_t kStepBytes = 1 << 20;
  Hasher hasher;
  std::vector<std::byte> step(std::min(bytes, kStepBytes));
  for (uint64_t at = header_bytes; at < bytes; at += step.size()) {
    const auto part = std::span(step).first(std::min<uint64_t>(step.size(), bytes - at));
    file.pread(at, part);
    hasher.update(part);
  }
  return hasher;
}

}  // namespace diabolo
