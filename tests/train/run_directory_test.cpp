// One training at a time has a run directory, and what is refused or fails leaves it as it was.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>

#include <thread>

#include "base/file_lock.h"
#include "base/file_writer.h"
#include "model/config_toml.h"
#include "train/training_fixture.h"

namespace diabolo {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RunDirectoryTest : public ::testing::Test {
 protected:
  // kOk: it was opened.
  ErrorCode code_of(RunUse use, std::string* message = nullptr,
                    FileSystem& fs = real_file_system()) {
    try {
      open_run_directory(run_, use, fs);
    } catch (const Error& error) {
      if (message) *message = error.what();
      return error.code();
    }
    return ErrorCode::kOk;
  }
  TrainOptions options_for(RunUse use) {
    TrainOptions options;
    options.directory = open_run_directory(run_, use);
    options.resume = use == RunUse::kResume;
    return options;
  }
  TrainResult run(const TrainOptions& options, const Config& config = small_config()) {
    TrainCallbacks callbacks;
    callbacks.resolved = [&](const Config& ready) {
      write_file(options.directory->config(), config_toml(ready));
    };
    return train(*backend_, config, *data_.data, nullptr, options, callbacks);
  }
  // Names and contents of all files.
  std::vector<std::string> content() {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(run_))
      out.push_back(entry.path().filename().string() + ": " + content_of(entry.path()));
    std::sort(out.begin(), out.end());
    return out;
  }

  TemporaryFolder folder_;
  std::string run_ = folder_ / "deep/run";
  std::unique_ptr<Backend> backend_ = create_host_backend(1);
  FloatData data_{planar_rows(300, 12, 1), 12};
};

TEST_F(RunDirectoryTest, ASecondWriterIsRefusedAndChangesNothing) {
  run(options_for(RunUse::kNew));
  const auto options = std::make_unique<TrainOptions>(options_for(RunUse::kResume));
  const auto before = content();
  for (const RunUse use : {RunUse::kNew, RunUse::kResume, RunUse::kOverwrite}) {
    std::string message;
    EXPECT_EQ(code_of(use, &message), ErrorCode::kBusy);
    EXPECT_THAT(message, HasSubstr(run_ + ": this process is writing it"));
  }
  EXPECT_EQ(content(), before);
}

TEST_F(RunDirectoryTest, OfManyThatStartAtOnceOneTrains) {
  for (int round = 0; round < 20; ++round) {
    std::filesystem::remove_all(folder_ / "deep");
    std::atomic<int> trained = 0, busy = 0, others = 0;
    std::atomic<bool> all_tried = false;
    std::atomic<int> tried = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&] {
        try {
          const RunDirectory directory = open_run_directory(run_, RunUse::kNew);
          ++trained, ++tried;
          while (!all_tried) std::this_thread::yield();
        } catch (const Error& error) {
          ++(error.code() == ErrorCode::kBusy ? busy : others);
          ++tried;
        }
      });
    while (tried < 4) std::this_thread::yield();
    all_tried = true;
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(trained, 1);
    EXPECT_EQ(busy, 3);
  }
}

TEST_F(RunDirectoryTest, WhatWasMadeForNothingGoes) {
  { const RunDirectory directory = open_run_directory(run_, RunUse::kNew); }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "deep"));
}

TEST_F(RunDirectoryTest, TheLockGoesWithAKilledProcessEvenIfAChildOfItLives) {
  int ready[2], hold[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(hold), 0);
  const pid_t parent = fork();
  if (parent == 0) {
    const RunDirectory directory = open_run_directory(run_, RunUse::kNew);
    if (fork() == 0) {  // lives until the test lets go of the pipe
      ::close(hold[1]);
      char byte = 0;
      if (write(ready[1], "x", 1) != 1) _exit(1);
      while (read(hold[0], &byte, 1) > 0) {
      }
      _exit(0);
    }
    if (write(ready[1], "x", 1) != 1) _exit(1);
    pause();
  }
  char byte = 0;
  for (int process = 0; process < 2; ++process) ASSERT_EQ(read(ready[0], &byte, 1), 1);
  std::string message;
  EXPECT_EQ(code_of(RunUse::kNew, &message), ErrorCode::kBusy);
  EXPECT_THAT(message, HasSubstr("process " + std::to_string(parent)));
  kill(parent, SIGKILL);
  waitpid(parent, nullptr, 0);
  EXPECT_EQ(code_of(RunUse::kNew), ErrorCode::kOk);
  ::close(hold[1]);
}

TEST_F(RunDirectoryTest, AChildOfForkNeitherWritesNorReleases) {
  const RunDirectory directory = open_run_directory(run_, RunUse::kNew);
  const pid_t child = fork();
  if (child == 0) {
    bool is_refused = false;
    try {
      directory.require_ours();
    } catch (const Error& error) {
      is_refused = error.code() == ErrorCode::kBusy;
    }
    const_cast<RunDirectory&>(directory).claim.reset();
    _exit(is_refused ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(code_of(RunUse::kNew), ErrorCode::kBusy);
}

// rm -rf of the folder takes the lock's name away, and the next training makes its own there.
TEST_F(RunDirectoryTest, AFolderThatWasReplacedIsLeftToItsNewTraining) {
  for (const bool is_made_again : {false, true}) {
    auto options = std::make_unique<TrainOptions>(options_for(RunUse::kNew));
    RunDirectory second;
    TrainCallbacks callbacks;
    callbacks.progress = [&](const TrainProgress&) {
      if (second.claim) return true;
      std::filesystem::remove_all(run_);
      if (is_made_again) second = open_run_directory(run_, RunUse::kNew);
      return true;
    };
    try {
      train(*backend_, small_config(), *data_.data, nullptr, *options, callbacks);
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kResource);
      EXPECT_THAT(error.what(), HasSubstr(run_ + ": the folder"));
    }
    options.reset();
    if (!is_made_again) continue;
    EXPECT_THAT(content(), ElementsAre(".diabolo-lock: "));
    EXPECT_EQ(code_of(RunUse::kNew), ErrorCode::kBusy);
  }
}

// A file system whose locks do not work, or whose disk is full from the n-th write on.
class BrokenFileSystem final : public FileSystem {
 public:
  int lock(int fd) override { return lock_error == 0 ? FileSystem::lock(fd) : fail(lock_error); }
  ssize_t write(int fd, const void* data, size_t bytes) override {
    return ++writes >= full_from ? fail(ENOSPC) : FileSystem::write(fd, data, bytes);
  }
  ssize_t pwrite(int fd, const void* data, size_t bytes, int64_t offset) override {
    return ++writes >= full_from ? fail(ENOSPC) : FileSystem::pwrite(fd, data, bytes, offset);
  }
  int lock_error = 0, full_from = 1 << 30, writes = 0;

 private:
  static int fail(int error) {
    errno = error;
    return -1;
  }
};

TEST_F(RunDirectoryTest, AFileSystemWithoutLocksIsRefused) {
  for (const int error : {ENOLCK, EBADF, EOPNOTSUPP, ENOSYS}) {
    BrokenFileSystem fs;
    fs.lock_error = error;
    std::string message;
    EXPECT_EQ(code_of(RunUse::kNew, &message, fs), ErrorCode::kResource);
    EXPECT_THAT(message, HasSubstr("cannot be locked"));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "deep"));
  }
}

TEST_F(RunDirectoryTest, ALockFileThatWasThereStaysWhereItCannotBeLocked) {
  std::filesystem::create_directories(run_);
  std::ofstream(run_ + "/.diabolo-lock") << "";
  BrokenFileSystem fs;
  fs.lock_error = ENOLCK;
  EXPECT_EQ(code_of(RunUse::kNew, nullptr, fs), ErrorCode::kResource);
  EXPECT_THAT(content(), ElementsAre(".diabolo-lock: "));
}

TEST_F(RunDirectoryTest, AStartThatFindsTheDiskFullLeavesNothing) {
  BrokenFileSystem fs;
  fs.full_from = 2;
  {
    TrainOptions options = options_for(RunUse::kNew);
    options.fs = &fs;
    EXPECT_THROW(run(options), Error);
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "deep"));
  run(options_for(RunUse::kNew));  // the same again
}

TEST_F(RunDirectoryTest, AnOverwriteThatFindsTheDiskFullLeavesWhatWasThere) {
  run(options_for(RunUse::kNew));
  const auto before = content();
  BrokenFileSystem fs;
  fs.full_from = 2;
  Config other = small_config();
  other.model.code.size = 2;
  {
    TrainOptions options = options_for(RunUse::kOverwrite);
    options.fs = &fs;
    EXPECT_THROW(run(options, other), Error);
  }
  EXPECT_EQ(content(), before);
  run(options_for(RunUse::kOverwrite), other);
  EXPECT_EQ(load_model(run_).network().code_size, 2);
}

// Metrics without a line and a configuration beside it: what a start left that had no room for its
// checkpoint. A configuration by itself is somebody's own.
TEST_F(RunDirectoryTest, AFailedStartIsTakenAndNothingElse) {
  std::filesystem::create_directories(run_);
  for (const char* left : {".diabolo-lock", ".checkpoint.safetensors.diabolo-tmp"})
    std::ofstream(run_ + "/" + left) << "";
  EXPECT_EQ(code_of(RunUse::kNew), ErrorCode::kOk);
  std::ofstream(run_ + "/config.toml") << "# mine";
  EXPECT_EQ(code_of(RunUse::kNew), ErrorCode::kUsage);
  std::ofstream(run_ + "/metrics.jsonl") << "";
  EXPECT_EQ(code_of(RunUse::kResume), ErrorCode::kModel);
  EXPECT_EQ(content_of(run_ + "/config.toml"), "# mine");
  EXPECT_EQ(code_of(RunUse::kNew), ErrorCode::kOk);
  run(options_for(RunUse::kNew));
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(run_))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  EXPECT_THAT(names, ElementsAre("checkpoint.safetensors", "config.toml", "metrics.jsonl",
                                 "model.safetensors"));
}

}  // namespace
}  // namespace diabolo
