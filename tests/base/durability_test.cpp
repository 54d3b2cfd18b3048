// What survives a power failure is decided by the order of calls: bytes are flushed before their
// name changes, the folder after. No test pulls the plug; these read the calls.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/faulty_file_system.h"
#include "base/file_writer.h"
#include "base/partial_writer.h"

namespace diabolo {
namespace {

using ::testing::ElementsAre;
using testing::TemporaryFolder;

// Keeps a log of what matters for durability; several writes in a row are one.
class RecordingFileSystem final : public FileSystem {
 public:
  explicit RecordingFileSystem(const TemporaryFolder& folder) : folder_(folder.file("")) {
    folder_.pop_back();  // the slash
  }

  std::vector<std::string> take() { return std::exchange(log_, {}); }

  int open(const char* path, int flags, mode_t mode) override {
    const int fd = FileSystem::open(path, flags, mode);
    names_[fd] = name_of(path);
    return fd;
  }
  ssize_t write(int fd, const void* data, size_t bytes) override {
    add("write " + names_[fd]);
    return FileSystem::write(fd, data, bytes);
  }
  ssize_t pwrite(int fd, const void* data, size_t bytes, int64_t offset) override {
    add("write " + names_[fd]);
    return FileSystem::pwrite(fd, data, bytes, offset);
  }
  void start_write_back(int fd, int64_t offset, int64_t bytes) override {
    add(cat("send ", names_[fd], " ", offset, "+", bytes));
  }
  int fsync(int fd) override {
    add("fsync " + names_[fd]);
    return 0;
  }
  int rename(const char* from, const char* to) override {
    add("rename " + name_of(from) + " " + name_of(to));
    return FileSystem::rename(from, to);
  }
  int unlink(const char* path) override {
    add("unlink " + name_of(path));
    return FileSystem::unlink(path);
  }

 private:
  std::string name_of(const std::string& path) const {
    return path == folder_ ? "folder" : std::filesystem::path(path).filename().string();
  }
  void add(const std::string& call) {
    if (log_.empty() || log_.back() != call) log_.push_back(call);
  }

  std::string folder_;
  std::map<int, std::string> names_;
  std::vector<std::string> log_;
};

class DurabilityTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  RecordingFileSystem fs_{folder_};
};

// The flush at the end then has little left to wait for.
TEST_F(DurabilityTest, ALongOutputGoesToDiskWhileItIsMade) {
  PartialWriter writer(folder_.file("out"), {.identity = "x"}, fs_);
  fs_.take();
  const std::vector<std::byte> part(uint64_t{3} << 20);
  for (int i = 0; i < 3; ++i) writer.write(std::span(part));
  EXPECT_THAT(fs_.take(),
              ElementsAre("write out.partial", "send out.partial 0+6291456", "write out.partial"));
  writer.commit();
  EXPECT_THAT(fs_.take(), ElementsAre("fsync out.partial", "rename out.partial out", "fsync folder",
                                      "unlink out.partial.journal"));
}

TEST_F(DurabilityTest, AFileIsFlushedThenNamedThenItsFolderIsFlushed) {
  AtomicWriter writer(folder_.file("out"), fs_);
  writer.write("one");
  writer.write("two");
  writer.commit();
  EXPECT_THAT(fs_.take(), ElementsAre("write .out.diabolo-tmp", "fsync .out.diabolo-tmp",
                                      "rename .out.diabolo-tmp out", "fsync folder"));
}

TEST_F(DurabilityTest, AJournalIsWrittenAfterItsBytesAndGoesAfterTheOutputHasItsName) {
  PartialWriter writer(folder_.file("out"), {.identity = "in", .header_bytes = 1}, fs_);
  EXPECT_THAT(fs_.take(), ElementsAre("unlink out.partial.journal"));
  writer.write("hrow");
  writer.checkpoint({1, 1});
  EXPECT_THAT(fs_.take(), ElementsAre("write out.partial", "fsync out.partial",
                                      "write .out.partial.journal.diabolo-tmp",
                                      "fsync .out.partial.journal.diabolo-tmp",
                                      "rename .out.partial.journal.diabolo-tmp out.partial.journal",
                                      "fsync folder"));
  writer.write("row");
  writer.commit();
  EXPECT_THAT(fs_.take(),
              ElementsAre("write out.partial", "fsync out.partial", "rename out.partial out",
                          "fsync folder", "unlink out.partial.journal"));
}

TEST_F(DurabilityTest, AnOldCompanionGoesWhenTheOutputIsOnDiskAndHasNoNameYet) {
  testing::put(folder_.file("list"), "old");
  testing::put(folder_.file("list.partial"), "older");
  PartialWriter writer(folder_.file("out"),
                       {.identity = "in", .old_companion = folder_.file("list")}, fs_);
  writer.write("row");
  fs_.take();
  writer.commit();
  EXPECT_THAT(fs_.take(),
              ElementsAre("fsync out.partial", "unlink list", "unlink list.partial",
                          "rename out.partial out", "fsync folder", "unlink out.partial.journal"));
}

TEST_F(DurabilityTest, AnOldCompanionThatSomebodyWritesStays) {
  const PartialWriter list(folder_.file("list"), {.identity = "in"});
  PartialWriter writer(folder_.file("out"),
                       {.identity = "in", .old_companion = folder_.file("list")}, fs_);
  writer.write("row");
  writer.commit();
  EXPECT_TRUE(std::filesystem::exists(folder_.file("list.partial")));
}

// The output is a link: it is made where that leads, its companion where the link is.
TEST_F(DurabilityTest, TheFolderOfEachFileIsFlushed) {
  std::filesystem::create_directory(folder_.file("far"));
  testing::put(folder_.file("far/data"), "old");
  std::filesystem::create_symlink(folder_.file("far/data"), folder_.file("out"));
  PartialWriter writer(folder_.file("out"), {.identity = "in", .companion = folder_.file("list")},
                       fs_);
  writer.write("row");
  writer.companion().write(std::as_bytes(std::span("0", 1)));
  fs_.take();
  writer.commit();
  EXPECT_THAT(fs_.take(),
              ElementsAre("fsync data.partial", "fsync list.partial", "rename list.partial list",
                          "fsync folder", "rename data.partial data", "fsync far",
                          "unlink data.partial.journal"));
}

TEST_F(DurabilityTest, AppendedLinesAreFlushedWhereTheCallerSaysSo) {
  AppendWriter writer(folder_.file("log"), 0, fs_);
  writer.write("one\n");
  writer.flush();
  EXPECT_THAT(fs_.take(), ElementsAre("write log", "fsync log"));
}

}  // namespace
}  // namespace diabolo
