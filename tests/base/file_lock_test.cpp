// Who holds a lock, for how long, and that nobody loses a file by not getting one.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <memory>

#include "base/faulty_file_system.h"
#include "base/file_writer.h"
#include "base/partial_writer.h"

namespace diabolo {
namespace {

using testing::content_of;
using testing::put;
using testing::TemporaryFolder;

ErrorCode code_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::kOk;
}

// A child that does the work and lives as long as this.
class Child {
 public:
  explicit Child(const std::function<void()>& work) {
    int done[2];
    EXPECT_EQ(pipe(done), 0);
    EXPECT_EQ(pipe(hold_), 0);
    process_ = fork();
    char byte = 0;
    if (process_ == 0) {
      ::close(hold_[1]);
      work();
      if (::write(done[1], "x", 1) != 1) _exit(1);
      while (::read(hold_[0], &byte, 1) > 0) {
      }
      _exit(0);
    }
    EXPECT_EQ(::read(done[0], &byte, 1), 1);
    for (const int fd : {done[0], done[1], hold_[0]}) ::close(fd);
  }
  ~Child() {
    ::close(hold_[1]);
    waitpid(process_, nullptr, 0);
  }
  Child(Child&&) = delete;

 private:
  int hold_[2];
  pid_t process_ = 0;
};

class FileLockTest : public ::testing::Test {
 protected:
  std::string out() const { return folder_.file("out"); }
  PartialOptions options(bool resume = false) const { return {.identity = "in", .resume = resume}; }

  TemporaryFolder folder_;
};

TEST_F(FileLockTest, ALockEndsWithItsWriterEvenIfAChildLives) {
  auto atomic = std::make_unique<AtomicWriter>(folder_.file("a"));
  auto partial = std::make_unique<PartialWriter>(out(), options());
  partial->write("row");
  partial->checkpoint({1, 1});
  const Child child([] {});
  EXPECT_EQ(code_of([&] { PartialWriter(out(), options(true)); }), ErrorCode::kBusy);
  EXPECT_EQ(code_of([&] { AtomicWriter(folder_.file("a")); }), ErrorCode::kBusy);
  partial.reset();
  atomic.reset();
  EXPECT_EQ(code_of([&] { PartialWriter(out(), options(true)); }), ErrorCode::kOk);
  EXPECT_EQ(code_of([&] { AtomicWriter(folder_.file("a")); }), ErrorCode::kOk);
}

TEST_F(FileLockTest, AChildNeitherWritesNorRemovesNorReleases) {
  auto atomic = std::make_unique<AtomicWriter>(folder_.file("a"));
  auto partial = std::make_unique<PartialWriter>(out(), options());
  atomic->write("one");
  partial->write("one");
  const Child child([&] {
    const int other = ::dup(1);  // has the number of a descriptor that was closed
    const bool wrote = code_of([&] { atomic->write("two"); }) == ErrorCode::kOk ||
                       code_of([&] { partial->write("two"); }) == ErrorCode::kOk;
    atomic.reset();
    partial.reset();
    if (wrote || ::fcntl(other, F_GETFD) < 0) _exit(1);
  });
  EXPECT_EQ(code_of([&] { PartialWriter(out(), options()); }), ErrorCode::kBusy);
  atomic->commit();
  partial->commit();
  EXPECT_EQ(content_of(folder_.file("a")), "one");
  EXPECT_EQ(content_of(out()), "one");
}

// Fails to tell what a partial file is.
class BlindFileSystem final : public FileSystem {
 public:
  int stat(const char* path, struct stat* to) override {
    if (!std::string(path).ends_with(".partial")) return FileSystem::stat(path, to);
    errno = EIO;
    return -1;
  }
};

TEST_F(FileLockTest, AFailureTakesAwayOnlyWhatItMade) {
  BlindFileSystem fs;
  EXPECT_EQ(code_of([&] { PartialWriter(out(), options(), fs); }), ErrorCode::kResource);
  EXPECT_TRUE(folder_.names().empty());
  put(out() + ".partial", "hours of work");
  EXPECT_EQ(code_of([&] { PartialWriter(out(), options(), fs); }), ErrorCode::kResource);
  EXPECT_EQ(content_of(out() + ".partial"), "hours of work");
}

}  // namespace
}  // namespace diabolo
