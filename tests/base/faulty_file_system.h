// A file system that fails, shortens or kills at the n-th call, once or from then on; and a folder
// of its own for a test.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/file_system.h"

namespace diabolo::testing {

struct Fault {
  enum class Kind {
    kError,     // fails with `error`
    kShort,     // reads and writes move one byte only
    kDieFirst,  // the process ends before the call
    kDieAfter,  // the process ends after the call
  };
  Kind kind = Kind::kError;
  int nth = 0;  // counted from 1; 0: no fault
  int error = 0;
  bool lasts = false;
};

inline constexpr int kDeathStatus = 77;

class FaultyFileSystem final : public FileSystem {
 public:
  FaultyFileSystem() = default;
  explicit FaultyFileSystem(const Fault& fault) : fault_(fault) {}

  int calls() const { return calls_; }
  // Whether a call that removes a file was made to fail.
  bool removal_failed() const { return removal_failed_; }

  int open(const char* path, int flags, mode_t mode) override {
    return around([&] { return FileSystem::open(path, flags, mode); });
  }
  int close(int fd) override {  // whatever it returns, the descriptor is gone
    const int result = FileSystem::close(fd);
    return around([&] { return result; });
  }
  ssize_t read(int fd, void* data, size_t bytes) override {
    return moving(bytes, [&](size_t n) { return FileSystem::read(fd, data, n); });
  }
  ssize_t pread(int fd, void* data, size_t bytes, int64_t offset) override {
    return moving(bytes, [&](size_t n) { return FileSystem::pread(fd, data, n, offset); });
  }
  ssize_t write(int fd, const void* data, size_t bytes) override {
    return moving(bytes, [&](size_t n) { return FileSystem::write(fd, data, n); });
  }
  ssize_t pwrite(int fd, const void* data, size_t bytes, int64_t offset) override {
    return moving(bytes, [&](size_t n) { return FileSystem::pwrite(fd, data, n, offset); });
  }
  int fstat(int fd, struct stat* out) override {
    return around([&] { return FileSystem::fstat(fd, out); });
  }
  int stat(const char* path, struct stat* out) override {
    return around([&] { return FileSystem::stat(path, out); });
  }
  // No test pulls the plug, and thousands of real ones take minutes on a busy disk.
  int fsync(int) override {
    return around([] { return 0; });
  }
  int ftruncate(int fd, int64_t bytes) override {
    return around([&] { return FileSystem::ftruncate(fd, bytes); });
  }
  int rename(const char* from, const char* to) override {
    return around([&] { return FileSystem::rename(from, to); });
  }
  int unlink(const char* path) override {
    const int result = around([&] { return FileSystem::unlink(path); });
    removal_failed_ |= result != 0 && errno != ENOENT;
    return result;
  }
  int lock(int fd) override {
    return around([&] { return FileSystem::lock(fd); });
  }
  int free_bytes(const char* path, uint64_t* out) override {
    return around([&] { return FileSystem::free_bytes(path, out); });
  }

 private:
  // Counts the call; whether the fault strikes it.
  bool strikes() {
    ++calls_;
    return fault_.nth != 0 && (fault_.lasts ? calls_ >= fault_.nth : calls_ == fault_.nth);
  }

  template <class Call>
  auto around(const Call& call) -> decltype(call()) {
    if (!strikes() || fault_.kind == Fault::Kind::kShort) return call();
    return struck(call);
  }

  template <class Call>
  ssize_t moving(size_t bytes, const Call& call) {
    if (!strikes()) return call(bytes);
    if (fault_.kind == Fault::Kind::kShort) return call(bytes > 0 ? 1 : 0);
    return struck([&] { return call(bytes); });
  }

  template <class Call>
  auto struck(const Call& call) -> decltype(call()) {
    if (fault_.kind == Fault::Kind::kDieFirst) _exit(kDeathStatus);
    if (fault_.kind == Fault::Kind::kDieAfter) {
      call();
      _exit(kDeathStatus);
    }
    errno = fault_.error;
    return -1;
  }

  Fault fault_;
  int calls_ = 0;
  bool removal_failed_ = false;
};

// A new folder; removed with what is in it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "diabolo-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string file(const std::string& name) const { return path_ + "/" + name; }
  // The names of what is in it, sorted.
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(path_))
      out.push_back(entry.path().filename().string());
    std::sort(out.begin(), out.end());
    return out;
  }

 private:
  std::string path_;
};

// Reading and writing whole files past the layer under test.
inline std::string content_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}
inline void put(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

// Every fault at the n-th call that a caller has to survive.
inline std::vector<Fault> faults_at(int nth) {
  std::vector<Fault> out;
  for (const bool lasts : {false, true}) {
    for (const int error : {ENOSPC, EIO, EINTR, EACCES, EMFILE})
      out.push_back({Fault::Kind::kError, nth, error, lasts});
    out.push_back({Fault::Kind::kShort, nth, 0, lasts});
  }
  return out;
}

inline std::string describe(const Fault& fault) {
  return "fault kind " + std::to_string(static_cast<int>(fault.kind)) + " errno " +
         std::to_string(fault.error) + (fault.lasts ? " from call " : " at call ") +
         std::to_string(fault.nth);
}

}  // namespace diabolo::testing
