// Reading and writing files: what is promised when all goes well. file_fault_test.cpp has the rest.
#include "base/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>

#include "base/expect_error.h"
#include "base/faulty_file_system.h"
#include "base/file_writer.h"
#include "base/partial_writer.h"

namespace diabolo {
namespace {

using testing::content_of;
using ::testing::ElementsAre;
using testing::error_of;
using testing::FaultyFileSystem;
using ::testing::HasSubstr;
using testing::put;
using testing::TemporaryFolder;

std::string pread_text(const File& file, uint64_t offset, size_t bytes) {
  std::string text(bytes, '?');
  file.pread(offset, std::as_writable_bytes(std::span(text)));
  return text;
}

TEST(FileTest, ReadsByOffset) {
  const TemporaryFolder folder;
  put(folder.file("a"), "0123456789");
  const File file = File::open(folder.file("a"));
  EXPECT_TRUE(file.is_regular());
  EXPECT_EQ(file.size_bytes(), 10u);
  EXPECT_EQ(pread_text(file, 3, 4), "3456");
  EXPECT_EQ(pread_text(file, 10, 0), "");
}

TEST(FileTest, ReadingPastTheEndSaysWhereItEnds) {
  const TemporaryFolder folder;
  put(folder.file("a"), "0123456789");
  const File file = File::open(folder.file("a"), {.code = ErrorCode::kModel});
  const Error error = error_of([&] { pread_text(file, 8, 4); });
  EXPECT_EQ(error.code(), ErrorCode::kModel);
  EXPECT_THAT(error.what(), HasSubstr("ends at byte 10, expected 12"));
  EXPECT_EQ(error_of([&] { pread_text(file, UINT64_MAX, 4); }).code(), ErrorCode::kModel);
}

TEST(FileTest, NamesWhatCannotBeOpened) {
  const TemporaryFolder folder;
  const Error missing = error_of([&] { File::open(folder.file("none")); });
  EXPECT_EQ(missing.code(), ErrorCode::kData);
  EXPECT_THAT(missing.what(), HasSubstr("none: cannot open: No such file"));
  EXPECT_THAT(error_of([&] { File::open(folder.file("")); }).what(), HasSubstr("is a folder"));
}

TEST(FileTest, IdentityChangesWithContentAndTime) {
  const TemporaryFolder folder;
  const std::string path = folder.file("a");
  put(path, std::string(200'000, 'x'));
  const std::string before = File::open(path).identity();
  EXPECT_EQ(File::open(path).identity(), before);
  EXPECT_EQ(before.find(' '), std::string::npos);
  put(path, std::string(200'000, 'y'));
  EXPECT_NE(File::open(path).identity(), before);
}

TEST(FileTest, ReadFileHoldsItsLimit) {
  const TemporaryFolder folder;
  const std::string text(100'000, 'q');
  put(folder.file("a"), text);
  EXPECT_EQ(read_file(folder.file("a"), 100'000), text);
  EXPECT_EQ(error_of([&] { read_file(folder.file("a"), 99'999); }).code(), ErrorCode::kData);
  EXPECT_THAT(error_of([&] { read_file("/dev/zero", 1000); }).what(), HasSubstr("more than"));
}

TEST(FileTest, FreeDiskSpaceIsCompared) {
  const TemporaryFolder folder;
  require_free_disk(folder.file("new"), 1);
  const Error error = error_of([&] { require_free_disk(folder.file("new"), UINT64_MAX); });
  EXPECT_EQ(error.code(), ErrorCode::kResource);
  EXPECT_THAT(error.what(), HasSubstr("18446744073709551615 bytes"));
}

TEST(AtomicWriterTest, ReplacesOnlyAtCommit) {
  const TemporaryFolder folder;
  put(folder.file("a"), "old");
  {
    AtomicWriter writer(folder.file("a"));
    writer.write("head and body");
    writer.write_at(0, std::as_bytes(std::span("HEAD", 4)));
    EXPECT_EQ(content_of(folder.file("a")), "old");
    writer.commit();
  }
  EXPECT_EQ(content_of(folder.file("a")), "HEAD and body");
  EXPECT_THAT(folder.names(), ElementsAre("a"));
}

TEST(AtomicWriterTest, WithoutCommitNothingStays) {
  const TemporaryFolder folder;
  { AtomicWriter(folder.file("a")).write("new"); }
  EXPECT_THAT(folder.names(), ElementsAre());
}

TEST(AtomicWriterTest, TwoWritersOfOneTargetAreRefused) {
  const TemporaryFolder folder;
  AtomicWriter first(folder.file("a"));
  first.write("first");
  const Error error = error_of([&] { AtomicWriter second(folder.file("a")); });
  EXPECT_EQ(error.code(), ErrorCode::kBusy);
  EXPECT_THAT(error.what(), HasSubstr("this process is writing it"));
  first.commit();
  EXPECT_EQ(content_of(folder.file("a")), "first");
}

TEST(AtomicWriterTest, FollowsALinkAndRefusesAFolder) {
  const TemporaryFolder folder;
  put(folder.file("real"), "old");
  std::filesystem::create_symlink("real", folder.file("link"));
  write_file(folder.file("link"), "new");
  EXPECT_EQ(content_of(folder.file("real")), "new");
  EXPECT_TRUE(std::filesystem::is_symlink(folder.file("link")));
  EXPECT_EQ(error_of([&] { write_file(folder.file(""), "x"); }).code(), ErrorCode::kUsage);
}

TEST(AtomicWriterTest, MakesTheFileThatALinkPointsTo) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder.file("there"));
  std::filesystem::create_symlink("there/new", folder.file("second"));
  std::filesystem::create_symlink("second", folder.file("first"));
  write_file(folder.file("first"), "x");
  EXPECT_EQ(content_of(folder.file("there/new")), "x");
  EXPECT_TRUE(std::filesystem::is_symlink(folder.file("first")));
  EXPECT_TRUE(std::filesystem::is_symlink(folder.file("second")));
  std::filesystem::create_symlink("round", folder.file("round"));
  EXPECT_EQ(error_of([&] { write_file(folder.file("round"), "x"); }).code(), ErrorCode::kUsage);
}

// A planted link must not lead the temporary file elsewhere.
TEST(AtomicWriterTest, DoesNotWriteThroughAPlantedLink) {
  const TemporaryFolder folder;
  put(folder.file("victim"), "safe");
  std::filesystem::create_symlink("victim", folder.file(".a.diabolo-tmp"));
  EXPECT_EQ(error_of([&] { write_file(folder.file("a"), "x"); }).code(), ErrorCode::kResource);
  EXPECT_EQ(content_of(folder.file("victim")), "safe");
}

TEST(StreamWriterTest, AClosedPipeHasItsOwnCode) {
  const TemporaryFolder folder;
  const std::string path = folder.file("fifo");
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK);
  EXPECT_TRUE(is_stream_path(path));
  StreamWriter sink(path);
  EXPECT_FALSE(sink.can_rewrite());
  sink.write("x");
  ::close(reader);
  EXPECT_EQ(error_of([&] { sink.write("y"); }).code(), ErrorCode::kClosedPipe);
  std::signal(SIGPIPE, before);
}

TEST(StreamWriterTest, AFullDeviceIsAResourceError) {
  StreamWriter sink("/dev/full");
  EXPECT_EQ(error_of([&] { sink.write("y"); }).code(), ErrorCode::kResource);
}

TEST(AppendWriterTest, CutsWhatACheckpointDoesNotKnow) {
  const TemporaryFolder folder;
  AppendWriter(folder.file("log"), 0).write("one\ntwo\nthree\n");
  AppendWriter resumed(folder.file("log"), 8);
  EXPECT_EQ(resumed.size_bytes(), 8u);
  resumed.write("3\n");
  resumed.flush();
  EXPECT_EQ(content_of(folder.file("log")), "one\ntwo\n3\n");
}

// Writes rows 0 to 9 of four bytes under a header that knows their number, as encode does.
class PartialWriterTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kRows = 10;

  PartialOptions options(bool resume, const std::string& identity = "in:1") const {
    return {.identity = identity, .resume = resume, .header_bytes = 4};
  }
  static std::string row(uint64_t i) { return cat("r0", i, "\n"); }
  static std::string expected() {
    std::string text = "h10\n";
    for (uint64_t i = 0; i < kRows; ++i) text += row(i);
    return text;
  }
  // Checkpoints after every third row; gives up after `rows` rows.
  void work(bool resume, uint64_t rows, FileSystem& fs = real_file_system()) const {
    PartialWriter writer(target(), options(resume), fs);
    const uint64_t first = writer.resumed().rows_read;
    if (first == 0 && writer.size_bytes() == 0) writer.write("h??\n");
    for (uint64_t i = first; i < rows; ++i) {
      writer.write(row(i));
      if (i % 3 == 2) writer.checkpoint({i + 1, i + 1});
    }
    if (rows < kRows) return;
    writer.write_at(0, std::as_bytes(std::span("h10\n", 4)));
    writer.commit();
  }
  std::string target() const { return folder_.file("out"); }

  TemporaryFolder folder_;
};

TEST_F(PartialWriterTest, WritesAll) {
  work(false, kRows);
  EXPECT_EQ(content_of(target()), expected());
  EXPECT_THAT(folder_.names(), ElementsAre("out"));
}

TEST_F(PartialWriterTest, ContinuesFromTheCheckpoint) {
  work(false, 8);
  EXPECT_THAT(folder_.names(), ElementsAre("out.partial", "out.partial.journal"));
  EXPECT_EQ(PartialWriter(target(), options(true)).resumed(), (Progress{6, 6}));
  work(true, kRows);
  EXPECT_EQ(content_of(target()), expected());
  EXPECT_THAT(folder_.names(), ElementsAre("out"));
}

TEST_F(PartialWriterTest, AFolderIsRefusedBeforeAnythingIsWritten) {
  std::filesystem::create_directory(target());
  EXPECT_EQ(error_of([&] { PartialWriter(target(), options(false)); }).code(), ErrorCode::kUsage);
  EXPECT_FALSE(std::filesystem::exists(target() + ".partial"));
}

TEST_F(PartialWriterTest, StartsWhereThereIsNothingToContinue) {
  work(true, kRows);
  EXPECT_EQ(content_of(target()), expected());
}

TEST_F(PartialWriterTest, WithoutCheckpointNothingStays) {
  work(false, 2);
  EXPECT_THAT(folder_.names(), ElementsAre());
}

TEST_F(PartialWriterTest, RefusesWhatWasMadeFromSomethingElse) {
  work(false, 8);
  const Error error = error_of([&] { PartialWriter(target(), options(true, "in:2")); });
  EXPECT_EQ(error.code(), ErrorCode::kStale);
  EXPECT_THAT(error.what(), HasSubstr("in:1"));
  work(false, kRows);  // not to resume is always possible
  EXPECT_EQ(content_of(target()), expected());
}

// Journal and partial file are input like any other: every flipped bit and every truncation of the
// journal is refused, and so is a changed byte of the output itself.
TEST_F(PartialWriterTest, NoticesDamage) {
  work(false, 8);
  const std::string journal_path = target() + ".partial.journal";
  const std::string journal = content_of(journal_path);
  const auto expect_refusal = [&](const std::string& what) {
    const Error error = error_of([&] { PartialWriter(target(), options(true)); });
    EXPECT_EQ(error.code(), ErrorCode::kStale) << what;
  };
  for (size_t bit = 0; bit < journal.size() * 8; ++bit) {
    std::string damaged = journal;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    put(journal_path, damaged);
    expect_refusal(cat("bit ", bit));
  }
  for (size_t bytes = 0; bytes < journal.size(); ++bytes) {
    put(journal_path, journal.substr(0, bytes));
    expect_refusal(cat("journal cut to ", bytes));
  }
  put(journal_path, journal);
  std::string output = content_of(target() + ".partial");
  put(target() + ".partial", output.substr(0, 27));
  expect_refusal("output cut");
  output[20] = '!';
  put(target() + ".partial", output);
  expect_refusal("output changed");
}

}  // namespace
}  // namespace diabolo
