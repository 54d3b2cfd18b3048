#include "base/file_lock.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <mutex>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include "base/file_calls.h"

namespace diabolo {
namespace {

namespace stdfs = std::filesystem;

constexpr int kAttempts = 10;

// The descriptors that a child of fork() closes. A fork waits while one is opened or closed, so
// that no child has one that is not listed.
class ClosedInChildren {
 public:
  // Never destroyed: a thread may fork while the process ends.
  static ClosedInChildren& instance() {
    static ClosedInChildren* const kAll = new ClosedInChildren;
    return *kAll;
  }
  int open(FileSystem& fs, const std::string& path, int flags) {
    const std::lock_guard lock(mutex_);
    const int fd = uninterrupted([&] { return fs.open(path.c_str(), flags, 0666); });
    if (fd >= 0) descriptors_.insert(fd);
    return fd;
  }
  int close(Descriptor& descriptor) {
    const std::lock_guard lock(mutex_);
    descriptors_.erase(descriptor.get());
    return descriptor.close();
  }

 private:
  ClosedInChildren() {
    pthread_atfork([] { instance().mutex_.lock(); }, [] { instance().mutex_.unlock(); },
                   [] { instance().close_all(); });
  }
  void close_all() {
    for (const int fd : descriptors_) ::close(fd);
    descriptors_.clear();
    mutex_.unlock();
  }

  std::mutex mutex_;
  std::set<int> descriptors_;
};

// The process that /proc/locks names; nothing where it is in another container or machine.
std::optional<int> holder_of(const struct stat& locked) {
  std::string text;
  try {
    text = read_file("/proc/locks", uint64_t{16} << 20);
  } catch (const Error&) {
    return std::nullopt;
  }
  std::ostringstream device;
  device << std::hex;
  for (const auto part : {major(locked.st_dev), minor(locked.st_dev)})
    device << (part < 16 ? "0" : "") << part << ':';
  const std::string wanted = device.str() + std::to_string(locked.st_ino);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string number, kind, mode, access, file;
    int process = 0;
    // "3: FLOCK ADVISORY WRITE 4711 fd:01:123456 0 EOF"; one that waits has "->" after the number.
    if (words >> number >> kind >> mode >> access >> process >> file && kind == "FLOCK" &&
        file == wanted && process > 0)
      return process;
  }
  return std::nullopt;
}

[[noreturn]] void fail_busy(FileSystem& fs, int fd, const std::string& object) {
  struct stat info {};
  std::optional<int> process;
  if (fs.fstat(fd, &info) == 0) process = holder_of(info);
  const std::string who = !process               ? "another process"
                          : *process == getpid() ? "this process"
                                                 : cat("process ", *process);
  throw Error(ErrorCode::kBusy,
              cat(object, ": ", who, " is writing it; wait for its end, or choose another output"));
}

// Whether the open file is the one that has the name. 0, or errno where that cannot be told.
int compare_name(FileSystem& fs, int fd, const std::string& path, bool& has_name) {
  struct stat opened {
  }, named{};
  int status = uninterrupted([&] { return fs.fstat(fd, &opened); });
  if (status == 0) status = uninterrupted([&] { return fs.stat(path.c_str(), &named); });
  has_name = status == 0 && opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
  return status == 0 || errno == ENOENT ? 0 : errno;
}

void remove_if_new(const LockedFile& file, const std::string& path) {
  if (file.is_new()) file.fs().unlink(path.c_str());
}

// Of a locked file, whose last holder may have taken its name away between open and lock. Throws
// where that cannot be told.
bool has_name(const LockedFile& file, const std::string& path) {
  bool out = false;
  if (const int error = compare_name(file.fs(), file.get(), path, out); error != 0) {
    remove_if_new(file, path);
    fail_write(path, "examine", error);
  }
  return out;
}

[[noreturn]] void fail_replaced(const std::string& path) {
  throw Error(ErrorCode::kResource, cat(path, ": cannot create: it keeps being replaced"));
}

}  // namespace

// What is there is opened, what is not is made: which of the two, has to be known.
LockedFile::LockedFile(FileSystem& fs, const std::string& path) : process_(getpid()) {
  constexpr int kFlags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
  ClosedInChildren& all = ClosedInChildren::instance();
  int fd = -1;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    fd = all.open(fs, path, kFlags);
    is_new_ = fd < 0 && errno == ENOENT;
    if (!is_new_) break;
    fd = all.open(fs, path, kFlags | O_CREAT | O_EXCL);
    if (fd >= 0 || errno != EEXIST) break;
  }
  descriptor_ = Descriptor(fs, fd);
}

LockedFile& LockedFile::operator=(LockedFile&& other) noexcept {
  if (this == &other) return *this;
  close();
  descriptor_ = std::move(other.descriptor_);
  process_ = other.process_;
  is_new_ = other.is_new_;
  return *this;
}

LockedFile::~LockedFile() {
  const int saved = errno;
  close();
  errno = saved;
}

bool LockedFile::is_open() const {
  return descriptor_.is_open() && process_ == getpid();
}

int LockedFile::close() {
  if (is_open()) return ClosedInChildren::instance().close(descriptor_);
  // In a child it is closed already, and its number may be somebody else's by now.
  static_cast<void>(descriptor_.release());
  return 0;
}

LockedFile open_locked(FileSystem& fs, const std::string& path) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    LockedFile file(fs, path);
    if (!file.is_open()) fail_write(path, "create", errno);
    if (uninterrupted([&] { return fs.lock(file.get()); }) != 0 && errno == EWOULDBLOCK)
      fail_busy(fs, file.get(), path);
    if (has_name(file, path)) return file;
  }
  fail_replaced(path);
}

void remove_unlocked(FileSystem& fs, const std::string& path) {
  if (!path_exists(path, {.fs = &fs})) return;
  try {
    const LockedFile file = open_locked(fs, path);
    if (fs.unlink(path.c_str()) != 0 && errno != ENOENT) fail_write(path, "remove", errno);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kBusy) throw;
  }
}

FolderLock::FolderLock(std::string folder, FileSystem& fs)
    : folder_(std::move(folder)), file_(folder_ + "/" + kFileName) {
  try {
    take(fs);
  } catch (...) {
    remove_made();
    throw;
  }
}

FolderLock::~FolderLock() {
  if (!is_ours() || !is_in_place()) return;
  lock_.fs().unlink(file_.c_str());
  lock_.close();
  remove_made();
}

bool FolderLock::is_ours() const {
  return lock_.is_open();
}

bool FolderLock::is_in_place() const {
  bool has_name = false;
  return compare_name(lock_.fs(), lock_.get(), file_, has_name) == 0 && has_name;
}

// Another writer that fails may take away what it made, the folder too; then all over again.
void FolderLock::take(FileSystem& fs) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    make_folder();
    lock_ = LockedFile(fs, file_);
    if (!lock_.is_open() && errno == ENOENT) continue;
    if (!lock_.is_open()) fail_write(file_, "create", errno);
    if (uninterrupted([&] { return fs.lock(lock_.get()); }) != 0) {
      if (errno == EWOULDBLOCK) fail_busy(fs, lock_.get(), folder_);
      const int error = errno;
      remove_if_new(lock_, file_);
      throw Error(ErrorCode::kResource,
                  cat(folder_, ": cannot be locked against a second writer: ", error_text(error),
                      "; choose a folder on a file system that has locks"));
    }
    if (has_name(lock_, file_)) return;
  }
  fail_replaced(file_);
}

void FolderLock::make_folder() {
  std::error_code error;
  for (stdfs::path path = folder_; !path.empty() && !stdfs::exists(path, error) && !error;
       path = path.parent_path())
    made_.push_back(path.string());
  error.clear();
  stdfs::create_directories(folder_, error);
  if (error)
    throw Error(ErrorCode::kResource,
                cat(folder_, ": cannot create the folder: ", error.message()));
}

void FolderLock::remove_made() const {
  for (const std::string& folder : made_)
    if (::rmdir(folder.c_str()) != 0) return;
}

}  // namespace diabolo
