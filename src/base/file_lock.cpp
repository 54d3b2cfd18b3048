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

#include "base/file_calls.h"

namespace diabolo {
namespace {

namespace stdfs = std::filesystem;

constexpr int kAttempts = 10;

// A flock belongs to the open file, which a child of fork() shares: there it is closed, or it would
// outlive a parent that was killed.
class LocksClosedInChildren {
 public:
  LocksClosedInChildren() {
    pthread_atfork([] { instance().mutex_.lock(); }, [] { instance().mutex_.unlock(); },
                   [] { instance().close_all(); });
  }
  static LocksClosedInChildren& instance() {
    static LocksClosedInChildren locks;
    return locks;
  }
  void add(int fd) {
    const std::lock_guard lock(mutex_);
    descriptors_.insert(fd);
  }
  void remove(int fd) {
    const std::lock_guard lock(mutex_);
    descriptors_.erase(fd);
  }

 private:
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

int open_to_lock(FileSystem& fs, const std::string& path) {
  constexpr int kFlags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
  return uninterrupted([&] { return fs.open(path.c_str(), kFlags, 0666); });
}

// Whether the locked descriptor is the file that has the name, which its last holder may have taken
// away between open and lock. Throws where that cannot be told.
bool has_name(FileSystem& fs, int fd, const std::string& path) {
  struct stat opened {
  }, named{};
  int status = uninterrupted([&] { return fs.fstat(fd, &opened); });
  if (status == 0) status = uninterrupted([&] { return fs.stat(path.c_str(), &named); });
  if (status != 0 && errno != ENOENT) {
    const int error = errno;
    fs.unlink(path.c_str());
    fail_write(path, "examine", error);
  }
  return status == 0 && opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

[[noreturn]] void fail_replaced(const std::string& path) {
  throw Error(ErrorCode::kResource, cat(path, ": cannot create: it keeps being replaced"));
}

}  // namespace

Descriptor open_locked(FileSystem& fs, const std::string& path) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const int fd = open_to_lock(fs, path);
    if (fd < 0) fail_write(path, "create", errno);
    Descriptor descriptor(fs, fd);
    if (uninterrupted([&] { return fs.lock(fd); }) != 0 && errno == EWOULDBLOCK)
      fail_busy(fs, fd, path);
    if (has_name(fs, fd, path)) return descriptor;
  }
  fail_replaced(path);
}

FolderLock::FolderLock(std::string folder, FileSystem& fs)
    : folder_(std::move(folder)), file_(folder_ + "/" + kFileName), process_(getpid()) {
  try {
    take(fs);
  } catch (...) {
    remove_made();
    throw;
  }
  LocksClosedInChildren::instance().add(descriptor_->get());
}

FolderLock::~FolderLock() {
  if (!is_ours()) {
    // Closed already, and its number may be somebody else's by now.
    static_cast<void>(descriptor_.release());
    return;
  }
  LocksClosedInChildren::instance().remove(descriptor_->get());
  // While the descriptor is open the name is locked, so it is this holder's file that goes.
  descriptor_->fs().unlink(file_.c_str());
  descriptor_.reset();
  remove_made();
}

bool FolderLock::is_ours() const {
  return process_ == getpid();
}

// Another writer that fails may take away what it made, the folder too; then all over again.
void FolderLock::take(FileSystem& fs) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    make_folder();
    const int fd = open_to_lock(fs, file_);
    if (fd < 0 && errno == ENOENT) continue;
    if (fd < 0) fail_write(file_, "create", errno);
    descriptor_ = std::make_unique<Descriptor>(fs, fd);
    if (uninterrupted([&] { return fs.lock(fd); }) != 0) {
      if (errno == EWOULDBLOCK) fail_busy(fs, fd, folder_);
      const int error = errno;
      fs.unlink(file_.c_str());
      throw Error(ErrorCode::kResource,
                  cat(folder_, ": cannot be locked against a second writer: ", error_text(error),
                      "; choose a folder on a file system that has locks"));
    }
    if (has_name(fs, fd, file_)) return;
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
