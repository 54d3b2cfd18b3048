// A training that was stopped, or killed, ends with the bits of one that was not.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/expect_error.h"
#include "base/sanitized.h"
#include "model/safetensors_format.h"
#include "train/checkpoint_parts.h"
#include "train/stateful_part.h"
#include "train/training_fixture.h"

namespace diabolo {
namespace {

using ::testing::HasSubstr;

Config resumable_config() {
  Config config = small_config();
  config.model.corruption = {CorruptionKind::kGaussian, 0.2, ClipKind::kNone};
  config.model.encoder.dropout = 0.1;
  config.schedule.kind = ScheduleKind::kCosine;
  config.schedule.warmup_steps = 5;
  config.train.validation = "0.2";
  config.train.patience = 0;
  config.train.epochs = 4;
  set_penalty(config, kL2Term, 1e-4, 6);  // its mean over an epoch goes on in the middle of one
  return config;
}

class ResumeTest : public ::testing::Test {
 protected:
  TrainOptions options_for(const std::string& name, RunUse use, int per_launch = 4) {
    TrainOptions options;
    options.directory = open_run_directory(folder_ / name, use);
    options.resume = use == RunUse::kResume;
    options.max_steps_per_launch = per_launch;
    return options;
  }
  TrainResult run(const Config& config, const TrainOptions& options, uint64_t stop_after = 0) {
    TrainCallbacks callbacks;
    if (stop_after > 0)
      callbacks.progress = [=](const TrainProgress& now) { return now.step < stop_after; };
    return train(*backend_, config, *data_.data, nullptr, options, callbacks);
  }
  // metrics.jsonl without what a clock has said.
  std::string metrics_of(const std::string& name) {
    std::istringstream lines(content_of(folder_ / (name + "/metrics.jsonl")));
    std::string out;
    for (std::string line; std::getline(lines, line);) {
      auto json = nlohmann::json::parse(line);
      json.erase("seconds");
      json.erase("samples_per_s");
      out += json.dump() + "\n";
    }
    return out;
  }
  void expect_same_end(const std::string& a, const std::string& b) {
    EXPECT_EQ(metrics_of(a), metrics_of(b));
    const ModelFile first = load_model(folder_ / a), second = load_model(folder_ / b);
    EXPECT_EQ(bits_of(first), bits_of(second));
    EXPECT_EQ(first.states, second.states);
    EXPECT_EQ(first.threshold, second.threshold);
    EXPECT_EQ(first.provenance.epochs, second.provenance.epochs);
  }

  TemporaryFolder folder_;
  std::unique_ptr<Backend> backend_ = create_host_backend(2);
  FloatData data_{planar_rows(300, 12, 1), 12};
};

TEST_F(ResumeTest, StoppingAtAnyStepChangesNothing) {
  const Config config = resumable_config();  // 240 rows: 8 steps an epoch, the last one short
  run(config, options_for("whole", RunUse::kNew));
  for (uint64_t stop = 1; stop < 28; stop += 3) {
    SCOPED_TRACE(stop);
    const std::string name = "stopped" + std::to_string(stop);
    const int per_launch = stop % 2 == 0 ? 1 : 4;
    const TrainResult stopped = run(config, options_for(name, RunUse::kNew, per_launch), stop);
    EXPECT_TRUE(stopped.is_cancelled);
    EXPECT_FALSE(stopped.model.threshold.has_value());
    // A second interruption, then the rest.
    run(config, options_for(name, RunUse::kResume), stop + 5);
    const TrainResult rest = run(config, options_for(name, RunUse::kResume));
    EXPECT_FALSE(rest.is_cancelled);
    expect_same_end("whole", name);
  }
}

// Its mean over the epoch would be that of the epoch's rest.
TEST_F(ResumeTest, ACheckpointWithoutTheSumOfATermIsRefused) {
  const Config config = resumable_config();
  run(config, options_for("stopped", RunUse::kNew, 1), 3);
  const std::string path = folder_ / "stopped/checkpoint.safetensors";
  std::string content = content_of(path);
  const std::string key = cat(kL2Term.reported, "_sum");
  const size_t at = content.find(key);
  ASSERT_NE(at, std::string::npos);
  content[at] = 'x';  // another term's
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, content.data(), sizeof header_bytes);
  const std::string hash = header_hash(content.substr(sizeof header_bytes, header_bytes));
  content.replace(sizeof header_bytes + kHashPrefix.size(), kHashDigits, hash);
  std::ofstream(path, std::ios::binary) << content;
  const Error error =
      testing::error_of([&] { run(config, options_for("stopped", RunUse::kResume)); });
  EXPECT_EQ(error.code(), ErrorCode::kModel);
  EXPECT_THAT(error.what(),
              HasSubstr(cat("expected the sum of the loss's term ", kL2Term.reported)));
}

// The weights that products read are no part of a checkpoint: they are made anew.
TEST_F(ResumeTest, StoppingABf16TrainingChangesNothing) {
  Config config = resumable_config();
  config.train.precision = Precision::kBf16;
  config.train.epochs = 2;
  run(config, options_for("whole", RunUse::kNew));
  for (const uint64_t stop : {3, 8, 11}) {
    SCOPED_TRACE(stop);
    const std::string name = "stopped" + std::to_string(stop);
    run(config, options_for(name, RunUse::kNew, 1), stop);
    run(config, options_for(name, RunUse::kResume));
    expect_same_end("whole", name);
  }
}

TEST_F(ResumeTest, StoppingATrainingWithStateOfTheModelChangesNothing) {
  const WithCentre part;
  Config config = resumable_config();
  config.schedule.kind = ScheduleKind::kConstant;
  config.schedule.warmup_steps = 32;
  config.optimizer.learning_rate = 1;  // in the end; so its last epoch is not its best
  run(config, options_for("whole", RunUse::kNew));
  EXPECT_LT(load_model(folder_ / "whole").provenance.epochs, 4u);
  for (const uint64_t stop : {3, 8, 19, 26}) {
    SCOPED_TRACE(stop);
    const std::string name = "stopped" + std::to_string(stop);
    run(config, options_for(name, RunUse::kNew, 1), stop);
    run(config, options_for(name, RunUse::kResume));
    expect_same_end("whole", name);
  }
}

struct Killed {
  double checkpoint_seconds;
  bool has_state;
};
// Checkpoints after each launch, in the middle of epochs too; or only the first, before any step.
class KilledTest : public ResumeTest, public ::testing::WithParamInterface<Killed> {};
INSTANTIATE_TEST_SUITE_P(Kinds, KilledTest,
                         ::testing::Values(Killed{0, false}, Killed{60, false}, Killed{0, true}));

TEST_P(KilledTest, KillingChangesNothing) {
  std::optional<WithCentre> part;
  if (GetParam().has_state) part.emplace();
  Config config = resumable_config();
  config.train.checkpoint_seconds = GetParam().checkpoint_seconds;
  run(config, options_for("whole", RunUse::kNew));
  for (int wait_us = 2000; wait_us < 60000; wait_us += 9000) {
    SCOPED_TRACE(wait_us);
    const std::string name = "killed" + std::to_string(wait_us);
    const std::string checkpoint = folder_ / (name + "/checkpoint.safetensors");
    const pid_t child = fork();
    if (child == 0) {
      backend_ = create_host_backend(2);  // threads do not survive a fork
      run(config, options_for(name, RunUse::kNew, 1));
      _exit(0);
    }
    while (!std::filesystem::exists(checkpoint)) usleep(200);
    usleep(static_cast<useconds_t>(wait_us));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    run(config, options_for(name, RunUse::kResume));
    expect_same_end("whole", name);
  }
}

TEST_F(ResumeTest, AFinishedTrainingMayGetMoreEpochs) {
  Config config = resumable_config();
  config.schedule.kind = ScheduleKind::kConstant;
  run(config, options_for("long", RunUse::kNew));
  config.train.epochs = 2;
  run(config, options_for("grown", RunUse::kNew));
  config.train.epochs = 4;
  run(config, options_for("grown", RunUse::kResume));
  expect_same_end("long", "grown");
}

TEST_F(ResumeTest, AnInterruptedTrainingLeavesItsModel) {
  for (const char* validation : {"", "0.2"}) {
    Config config = resumable_config();
    config.train.validation = validation;
    const std::string name = cat("run", validation);
    const TrainResult result = run(config, options_for(name, RunUse::kNew, 1), 18);
    EXPECT_TRUE(result.is_cancelled);
    EXPECT_EQ(bits_of(load_model(folder_ / name)), bits_of(result.model)) << validation;
  }
}

// Every file flushed takes its time here, and keeps count of the checkpoints.
class SlowDisk final : public FileSystem {
 public:
  int fsync(int fd) override {
    usleep(5000);
    return FileSystem::fsync(fd);
  }
  int rename(const char* from, const char* to) override {
    ++(std::string_view(to).ends_with("checkpoint.safetensors") ? checkpoints : models);
    return FileSystem::rename(from, to);
  }
  int checkpoints = 0, models = 0;
};

// A file and its folder are flushed each time: 10 ms at least, which may cost a fortieth each.
TEST_F(ResumeTest, SavingCostsATwentiethAtMost) {
  Config config = resumable_config();
  config.train.epochs = 1000000;
  config.train.checkpoint_seconds = 1e-3;
  SlowDisk disk;
  TrainOptions options = options_for("run", RunUse::kNew);
  options.fs = &disk;
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  TrainCallbacks callbacks;
  // A busy disk takes its time, and then the pauses are as much longer.
  callbacks.progress = [&](const TrainProgress&) {
    return seconds() < 2 || (disk.checkpoints < 3 && seconds() < 120);
  };
  train(*backend_, config, *data_.data, nullptr, options, callbacks);
  const double most = seconds() / 0.4;
  EXPECT_LE(disk.checkpoints, most + 2);  // the first and the last
  EXPECT_LE(disk.models, most + 2);
  EXPECT_GE(disk.checkpoints, 3);
}

TEST_F(ResumeTest, WhatAKillCanLoseIsSaid) {
  std::string said;
  TrainOptions options = options_for("run", RunUse::kNew);
  options.log = Log([&](LogLevel, std::string_view line) { said += cat(line, "\n"); });
  run(resumable_config(), options);
  EXPECT_THAT(said, HasSubstr("run: saved every 60 s, which is what a kill can lose"));
}

// Another machine, or another wish, is the same training: one line says what may differ.
TEST_F(ResumeTest, AnotherNumberOfThreadsGoesOnWithALine) {
  Config config = resumable_config();
  std::vector<std::string> said;
  const auto resume = [&](int asked, int used) {
    config.train.threads = asked;
    backend_ = create_host_backend(used);
    TrainOptions options = options_for("run", RunUse::kResume);
    options.log = Log([&](LogLevel level, std::string_view line) {
      if (level == LogLevel::kWarning && line.find("computed on") != std::string_view::npos)
        said.emplace_back(line);
    });
    return run(config, options, 5);
  };
  config.train.threads = 2;
  run(config, options_for("run", RunUse::kNew), 3);
  const int most = backend_->info().cpu.threads;
  resume(64, 2);  // clamped to what it was
  EXPECT_TRUE(said.empty());
  resume(1, 1);
  EXPECT_EQ(said.size(), most == 1 ? 0u : 1u);
  if (most > 1) {
    EXPECT_THAT(said.front(),
                HasSubstr("on the CPU with 2 threads, goes on on the CPU with 1 thread"));
  }
  said.clear();
  resume(1, 1);
  EXPECT_TRUE(said.empty());
}

TEST_F(ResumeTest, AnotherTrainingIsRefused) {
  const Config config = resumable_config();
  run(config, options_for("run", RunUse::kNew), 10);
  const auto message = [&](const Config& other, const Dataset& data) {
    try {
      train(*backend_, other, data, nullptr, options_for("run", RunUse::kResume), {});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kModel);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  Config other = config;
  other.optimizer.learning_rate *= 2;
  EXPECT_THAT(message(other, *data_.data), HasSubstr("another"));
  const FloatData changed(planar_rows(300, 12, 2), 12);
  EXPECT_THAT(message(config, *changed.data), HasSubstr("other data"));
  std::vector<float> one_number = data_.values;
  one_number[299 * 12] += 1e-6f * one_number[299 * 12];
  EXPECT_THAT(message(config, *FloatData(one_number, 12).data), HasSubstr("other data"));
}

// The best epoch so far was the best on the rows that it was measured on.
TEST_F(ResumeTest, OtherValidationRowsAreRefused) {
  Config config = resumable_config();
  config.train.validation = "";
  const FloatData first(planar_rows(50, 12, 3), 12), second(planar_rows(50, 12, 4), 12);
  const auto go = [&](const FloatData& validation, RunUse use) {
    train(*backend_, config, *data_.data, validation.data.get(), options_for("run", use), {});
  };
  go(first, RunUse::kNew);
  EXPECT_THROW(go(second, RunUse::kResume), Error);
  EXPECT_NO_THROW(go(first, RunUse::kResume));
}

// Steps grow without end until no weights survive them.
TEST_F(ResumeTest, ADivergedTrainingKeepsTheStepBeforeAndTheBestModel) {
  Config config = small_config();
  config.optimizer.kind = kernels::Optimizer::kSgd;
  config.optimizer.learning_rate = 10000;
  config.schedule.warmup_steps = 100000;
  config.train.validation = "0.2";
  config.train.patience = 0;
  config.train.epochs = 2000;
  const auto message = [&](RunUse use) {
    try {
      run(config, options_for("run", use));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kDiverged);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  const std::string first = message(RunUse::kNew);
  const std::string found = content_of(folder_ / "run/checkpoint.safetensors");
  const size_t at = first.find("of step ") + 8;
  const uint64_t bad = std::stoull(first.substr(at));  // counted from 1
  EXPECT_GT(bad, 8u);                                  // steps of an epoch
  const uint64_t elems =
      BlobLayout::of(Network::of(resolved(config, Scale::kStandard).model, 12).parameters()).elems;
  VectorBlobs blobs(elems);
  blobs.v.clear();  // SGD has none
  const Checkpoint checkpoint = load_checkpoint(folder_ / "run/checkpoint.safetensors", blobs,
                                                is(identity_in(found)), real_file_system());
  EXPECT_EQ(checkpoint.step, bad - 1);
  EXPECT_TRUE(std::isfinite(checkpoint.loss_sum));
  ASSERT_GT(checkpoint.best_epoch, 0);
  EXPECT_LT(checkpoint.best_epoch, checkpoint.epoch + 1);
  EXPECT_EQ(load_model(folder_ / "run").provenance.epochs,
            static_cast<uint64_t>(checkpoint.best_epoch));
  EXPECT_EQ(message(RunUse::kResume), first);
}

TEST_F(ResumeTest, EveryFlippedBitAndEveryTruncationOfACheckpointIsFound) {
  const Config config = resumable_config();
  run(config, options_for("run", RunUse::kNew), 10);
  std::string content = content_of(folder_ / "run/checkpoint.safetensors");
  EXPECT_NEAR(static_cast<double>(content.size()), 16 << 10, 4 << 10);
  const uint64_t elems =
      BlobLayout::of(Network::of(resolved(config, Scale::kStandard).model, 12).parameters()).elems;
  const std::string identity = identity_in(content);
  testing::MemoryFileSystem whole(content);
  VectorBlobs blobs(elems);
  EXPECT_GE(load_checkpoint("checkpoint", blobs, is(identity), whole).step, 10u);
  constexpr size_t kStep =
      testing::kIsSanitized ? 3 : 1;  // fuzz_safetensors tries far more of them
  for (size_t at = 0; at < content.size(); at += kStep) {
    ASSERT_TRUE(is_refused(std::string_view(content).substr(0, at), elems, identity)) << at;
    for (size_t bit = 0; bit < 8; ++bit) {
      if (testing::kIsSanitized && bit != at % 8) continue;
      const char mask = static_cast<char>(1 << bit);
      content[at] = static_cast<char>(content[at] ^ mask);
      ASSERT_TRUE(is_refused(content, elems, identity)) << "bit " << bit << " of byte " << at;
      content[at] = static_cast<char>(content[at] ^ mask);
    }
  }
}

TEST_F(ResumeTest, RunDirectoriesAreNotOverwrittenByMistake) {
  const Config config = resumable_config();
  run(config, options_for("run", RunUse::kNew), 5);
  const auto code = [&](const std::string& name, RunUse use) {
    try {
      open_run_directory(folder_ / name, use);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kOk;
  };
  EXPECT_EQ(code("run", RunUse::kNew), ErrorCode::kUsage);
  EXPECT_EQ(code("other", RunUse::kResume), ErrorCode::kModel);
  std::ofstream(folder_ / "run/notes.txt") << "mine";
  run(config, options_for("run", RunUse::kOverwrite), 5);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run/notes.txt"));
}

}  // namespace
}  // namespace diabolo
