// Every call of every operation fails once or from then on, moves one byte at a time, or is the
// last thing the process does. What must hold afterwards is said by each test (reliability: R5, R6,
// R7).
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <functional>

#include "base/faulty_file_system.h"
#include "base/file_writer.h"
#include "base/partial_writer.h"

namespace diabolo {
namespace {

using testing::content_of;
using testing::describe;
using testing::Fault;
using testing::faults_at;
using testing::FaultyFileSystem;
using testing::put;
using testing::TemporaryFolder;

using Operation = std::function<void(FileSystem&)>;

int calls_of(const Operation& operation) {
  FaultyFileSystem counting;
  operation(counting);
  return counting.calls();
}

// Runs it; returns the code of its Error, kOk if there was none. Anything else escapes and fails.
ErrorCode outcome(const Operation& operation, FileSystem& fs) {
  try {
    operation(fs);
  } catch (const Error& error) {
    EXPECT_EQ(std::strchr(error.what(), '\n'), nullptr) << error.what();
    return error.code();
  }
  return ErrorCode::kOk;
}

// Runs the operation in a child that the fault ends. False if the child survived.
bool dies(const Operation& operation, const Fault& fault) {
  const pid_t child = fork();
  if (child == 0) {
    FaultyFileSystem fs(fault);
    try {
      operation(fs);
    } catch (...) {
      _exit(1);
    }
    _exit(0);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  const int code = WEXITSTATUS(status);
  EXPECT_TRUE(code == testing::kDeathStatus || code == 0) << code;
  return code == testing::kDeathStatus;
}

// A failure that has to be survived without an error: one interruption, short counts.
bool is_harmless(const Fault& fault) {
  return fault.kind == Fault::Kind::kShort || (fault.error == EINTR && !fault.lasts);
}

Operation save(const std::string& path, const std::string& content) {
  return [=](FileSystem& fs) {
    AtomicWriter writer(path, fs);
    writer.write(content.substr(0, 3));
    writer.write(content.substr(3));
    writer.write_at(1, std::as_bytes(std::span(content).subspan(1, 4)));
    writer.commit();
  };
}

constexpr char kOld[] = "old content, all of it";
constexpr char kNew[] = "the new content, longer than the old";

TEST(FileFaultTest, AtomicWriterLeavesOldOrNew) {
  const TemporaryFolder folder;
  const std::string path = folder.file("a");
  const int calls = calls_of(save(path, kNew));
  ASSERT_GT(calls, 10);
  for (int nth = 1; nth <= calls; ++nth) {
    for (const Fault& fault : faults_at(nth)) {
      SCOPED_TRACE(describe(fault));
      put(path, kOld);
      FaultyFileSystem fs(fault);
      const ErrorCode code = outcome(save(path, kNew), fs);
      if (is_harmless(fault)) {
        EXPECT_EQ(code, ErrorCode::kOk);
      }
      const std::string content = content_of(path);
      if (code == ErrorCode::kOk) {
        EXPECT_EQ(content, kNew);
      } else {
        EXPECT_EQ(code, ErrorCode::kResource);
        EXPECT_TRUE(content == kOld || content == kNew) << content;
      }
      if (!fs.removal_failed()) {
        EXPECT_EQ(folder.names().size(), 1u);
      }
      std::filesystem::remove(folder.file(".a.diabolo-tmp"));
    }
  }
}

TEST(FileFaultTest, AtomicWriterKilledAtEachCall) {
  const TemporaryFolder folder;
  const std::string path = folder.file("a");
  const int calls = calls_of(save(path, kNew));
  int deaths = 0;
  for (const auto kind : {Fault::Kind::kDieFirst, Fault::Kind::kDieAfter}) {
    for (int nth = 1; nth <= calls; ++nth) {
      const Fault fault{kind, nth, 0, false};
      SCOPED_TRACE(describe(fault));
      put(path, kOld);
      deaths += dies(save(path, kNew), fault);
      const std::string content = content_of(path);
      EXPECT_TRUE(content == kOld || content == kNew) << content;
      FaultyFileSystem flawless;
      save(path, "what comes next")(flawless);
      EXPECT_EQ(content_of(path), "what comes next");
      EXPECT_EQ(folder.names().size(), 1u);  // the leftovers are gone
    }
  }
  EXPECT_EQ(deaths, 2 * calls);
}

std::string list_of(const std::string& target) {
  return target + ".list";
}

// Twelve rows under a header that is corrected at the end, a checkpoint after every fourth; and a
// letter for each row in a second file.
Operation encode(const std::string& target) {
  return [=](FileSystem& fs) {
    PartialWriter writer(target,
                         {.identity = "input",
                          .resume = true,
                          .header_bytes = 3,
                          .companion = list_of(target),
                          .companion_header_bytes = 1},
                         fs);
    const auto list = [&](const std::string& text) {
      writer.companion().write(std::as_bytes(std::span(text)));
    };
    if (writer.resumed().rows_read == 0) {
      writer.write("00\n");
      list("?");
    }
    for (uint64_t i = writer.resumed().rows_read; i < 12; ++i) {
      writer.write(cat("row ", i, "\n"));
      list(std::string(1, static_cast<char>('a' + i)));
      if (i % 4 == 3) writer.checkpoint({i + 1, i + 1});
    }
    writer.write_at(0, std::as_bytes(std::span("12", 2)));
    writer.companion().write_at(0, std::as_bytes(std::span("!", 1)));
    writer.commit();
  };
}

std::string encoded() {
  std::string text = "12\n";
  for (int i = 0; i < 12; ++i) text += cat("row ", i, "\n");
  return text;
}

// Under its name the output is whole, with the list beside it.
void expect_whole(const std::string& target) {
  EXPECT_EQ(content_of(target), encoded());
  EXPECT_EQ(content_of(list_of(target)), "!abcdefghijkl");
}

// A second run without faults always ends with the whole output and nothing beside it.
void expect_resumable(const TemporaryFolder& folder, const std::string& target) {
  FaultyFileSystem flawless;
  encode(target)(flawless);
  expect_whole(target);
  EXPECT_EQ(folder.names().size(), 2u);
}

TEST(FileFaultTest, PartialWriterContinuesAfterEachFault) {
  const TemporaryFolder folder;
  const std::string target = folder.file("out");
  const int calls = calls_of(encode(target));
  ASSERT_GT(calls, 40);
  for (int nth = 1; nth <= calls; ++nth) {
    for (const Fault& fault : faults_at(nth)) {
      SCOPED_TRACE(describe(fault));
      std::filesystem::remove(target);
      FaultyFileSystem fs(fault);
      const ErrorCode code = outcome(encode(target), fs);
      if (is_harmless(fault)) {
        EXPECT_EQ(code, ErrorCode::kOk);
      }
      if (code == ErrorCode::kOk) {
        expect_whole(target);
      } else {
        EXPECT_TRUE(code == ErrorCode::kResource || code == ErrorCode::kData ||
                    code == ErrorCode::kStale);
        // Under its name the output is whole or not there.
        if (std::filesystem::exists(target)) {
          expect_whole(target);
        }
      }
      expect_resumable(folder, target);
    }
  }
}

TEST(FileFaultTest, PartialWriterKilledAtEachCall) {
  const TemporaryFolder folder;
  const std::string target = folder.file("out");
  const int calls = calls_of(encode(target));
  int deaths = 0;
  for (const auto kind : {Fault::Kind::kDieFirst, Fault::Kind::kDieAfter}) {
    for (int nth = 1; nth <= calls; ++nth) {
      const Fault fault{kind, nth, 0, false};
      SCOPED_TRACE(describe(fault));
      std::filesystem::remove(target);
      deaths += dies(encode(target), fault);
      if (std::filesystem::exists(target)) {
        expect_whole(target);
      }
      expect_resumable(folder, target);
    }
  }
  EXPECT_EQ(deaths, 2 * calls);
}

// As after a kill between the two renames of a commit: the list has its name, the output not.
TEST(FileFaultTest, PartialWriterContinuesWhereOnlyTheListHasItsName) {
  class Unnameable final : public FileSystem {
   public:
    explicit Unnameable(std::string target) : target_(std::move(target)) {}
    int rename(const char* from, const char* to) override {
      if (to != target_) return FileSystem::rename(from, to);
      errno = EIO;
      return -1;
    }

   private:
    std::string target_;
  };
  const TemporaryFolder folder;
  const std::string target = folder.file("out");
  Unnameable fs(target);
  EXPECT_EQ(outcome(encode(target), fs), ErrorCode::kResource);
  ASSERT_TRUE(std::filesystem::exists(list_of(target)));
  const PartialOptions options{.identity = "input",
                               .resume = true,
                               .header_bytes = 3,
                               .companion = list_of(target),
                               .companion_header_bytes = 1};
  EXPECT_EQ(PartialWriter(target, options).resumed(), (Progress{12, 12}));
  EXPECT_EQ(outcome(encode(target), fs), ErrorCode::kResource);
  put(list_of(target), "!an older output's");  // then the list of this one is lost
  FaultyFileSystem flawless;
  EXPECT_EQ(outcome(encode(target), flawless), ErrorCode::kStale);
  EXPECT_EQ(content_of(list_of(target)), "!an older output's");
  EXPECT_TRUE(std::filesystem::exists(target + ".partial"));
}

// Killed while it resumes, again and again: progress is kept and nothing is lost or doubled.
TEST(FileFaultTest, PartialWriterKilledWhileResuming) {
  const TemporaryFolder folder;
  const std::string target = folder.file("out");
  for (int nth = 1; nth < 60; ++nth) {
    SCOPED_TRACE(nth);
    std::filesystem::remove(target);
    dies(encode(target), {Fault::Kind::kDieFirst, 25, 0, false});
    dies(encode(target), {Fault::Kind::kDieAfter, nth, 0, false});
    expect_resumable(folder, target);
  }
}

TEST(FileFaultTest, ReadersGetTheContentOrADataError) {
  const TemporaryFolder folder;
  const std::string path = folder.file("a");
  put(path, kNew);
  std::string identity, whole, part(9, '?');
  const Operation read = [&](FileSystem& fs) {
    const File file = File::open(path, {.fs = &fs});
    identity = file.identity();
    file.pread(4, std::as_writable_bytes(std::span(part)));
    whole = read_file(path, 1000, {.fs = &fs});
  };
  const int calls = calls_of(read);
  const std::string true_identity = identity;
  for (int nth = 1; nth <= calls; ++nth) {
    for (const Fault& fault : faults_at(nth)) {
      SCOPED_TRACE(describe(fault));
      identity = whole = "";
      FaultyFileSystem fs(fault);
      const ErrorCode code = outcome(read, fs);
      if (is_harmless(fault)) {
        EXPECT_EQ(code, ErrorCode::kOk);
      }
      // A failing close after reading loses nothing, so a late fault may pass unnoticed.
      if (code == ErrorCode::kOk) {
        EXPECT_EQ(identity, true_identity);
        EXPECT_EQ(part, "new conte");
        EXPECT_EQ(whole, kNew);
      } else {
        EXPECT_EQ(code, ErrorCode::kData);
      }
    }
  }
}

TEST(FileFaultTest, AppendWriterReportsAndRepairs) {
  const TemporaryFolder folder;
  const std::string path = folder.file("log");
  const Operation append = [&](FileSystem& fs) {
    AppendWriter writer(path, 4, fs);
    writer.write("line\n");
    writer.flush();
  };
  put(path, "one\nrest");
  const int calls = calls_of(append);
  for (int nth = 1; nth <= calls; ++nth) {
    for (const Fault& fault : faults_at(nth)) {
      SCOPED_TRACE(describe(fault));
      put(path, "one\nrest");
      FaultyFileSystem fs(fault);
      const ErrorCode code = outcome(append, fs);
      if (is_harmless(fault)) {
        EXPECT_EQ(code, ErrorCode::kOk);
      }
      if (code != ErrorCode::kOk) {
        EXPECT_EQ(code, ErrorCode::kResource);
      }
      FaultyFileSystem flawless;
      append(flawless);
      EXPECT_EQ(content_of(path), "one\nline\n");
    }
  }
}

}  // namespace
}  // namespace diabolo
