// Files through a model: the right rows in the right order, whatever the batch, the interruption or
// the memory.
#include "jobs/encode_pipeline.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>

#include <charconv>
#include <limits>

#include "backend/forwarding_backend.h"
#include "base/half.h"
#include "infer/odd_tasks.h"
#include "train/training_fixture.h"

namespace diabolo {
namespace {

using testing::HasSubstr;

constexpr uint64_t kRows = 1237;

class PipelineTest : public testing::Test {
 protected:
  static ModelFile trained() {
    const auto backend = create_host_backend(2);
    const FloatData data(planar_rows(300, 12, 1), 12);
    Config config = small_config();
    config.data.on_bad_value = BadValue::kMean;  // keeps the means
    return train(*backend, config, *data.data, nullptr, {}, {}).model;
  }
  static const ModelFile& model() {
    static const ModelFile kModel = trained();
    return kModel;
  }
  PipelineOptions options(const std::string& name, const Task& task = kEncodeTask) {
    PipelineOptions out;
    out.task = &task;
    out.output = folder_ / name;
    out.batch_rows = 100;
    return out;
  }
  PipelineResult run(const PipelineOptions& options) {
    return run_pipeline(*backend_, model(), *data_.data, options);
  }
  std::vector<float> floats_of(const std::string& name) {
    const std::string bytes = content_of(folder_ / name);
    std::vector<float> out(bytes.size() / sizeof(float));
    std::memcpy(out.data(), bytes.data(), out.size() * sizeof(float));
    return out;
  }
  RawRows rows_in_memory() const {
    return {DType::kF32, false, std::as_bytes(std::span(data_.values)), kRows};
  }
  Error error_of(const PipelineOptions& options, const Dataset& data) {
    try {
      run_pipeline(*backend_, model(), data, options);
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "no error";
    return Error(ErrorCode::kOk, "");
  }

  TemporaryFolder folder_;
  std::unique_ptr<Backend> backend_ = create_host_backend(2);
  FloatData data_{planar_rows(kRows, 12, 5), 12};
};

TEST_F(PipelineTest, FilesHoldWhatInferenceGives) {
  const Inference inference(*backend_, model(), {});
  std::vector<float> codes(kRows * 3), rows(kRows * 12), scores(kRows);
  inference.encode(rows_in_memory(), codes);
  inference.reconstruct(rows_in_memory(), rows);
  Scores out;
  out.score = scores;
  inference.score(rows_in_memory(), out);
  const PipelineResult result = run(options("codes.raw"));
  EXPECT_EQ(result.rows_read, kRows);
  EXPECT_EQ(result.rows_written, kRows);
  EXPECT_EQ(floats_of("codes.raw"), codes);
  run(options("rows.raw", kReconstructTask));
  EXPECT_EQ(floats_of("rows.raw"), rows);
  const PipelineResult scored = run(options("scores.raw", kScoreTask));
  EXPECT_EQ(floats_of("scores.raw"), scores);
  const auto above = std::ranges::count_if(
      scores, [](float score) { return static_cast<double>(score) > *model().threshold; });
  EXPECT_EQ(scored.above_threshold, static_cast<uint64_t>(above));

  OpenOptions raw;
  raw.dtype = DType::kF32;
  raw.row_shape = {3};
  const auto code_file = open_dataset(folder_ / "codes.raw", raw);
  run_pipeline(*backend_, model(), *code_file, options("back.raw", kDecodeTask));
  EXPECT_EQ(floats_of("back.raw"), rows);
}

// R9: what comes out of a row depends on nothing but the row.
TEST_F(PipelineTest, BytesDoNotDependOnBatchOrThreads) {
  run(options("expected.npy"));
  const std::string expected = content_of(folder_ / "expected.npy");
  for (const int64_t batch : {1, 2, 31, 33, 700, 5000}) {
    PipelineOptions other = options("other.npy");
    other.batch_rows = batch;
    run(other);
    EXPECT_EQ(content_of(folder_ / "other.npy"), expected) << batch;
  }
  const auto single = create_host_backend(1);
  run_pipeline(*single, model(), *data_.data, options("single.npy"));
  EXPECT_EQ(content_of(folder_ / "single.npy"), expected);
}

TEST_F(PipelineTest, NpyIsReadableAndNarrowTypesAreRounded) {
  run(options("codes.npy"));
  const auto codes = open_dataset(folder_ / "codes.npy");
  EXPECT_EQ(codes->text(), "f32[1237,3]");
  run(options("wide.raw"));
  PipelineOptions half = options("half.raw");
  half.output_dtype = DType::kF16;
  run(half);
  const std::string bytes = content_of(folder_ / "half.raw");
  const std::vector<float> wide = floats_of("wide.raw");
  ASSERT_EQ(bytes.size(), wide.size() * 2);
  for (size_t i = 0; i < wide.size(); ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, bytes.data() + 2 * i, 2);
    EXPECT_EQ(bits, float_to_half(wide[i]));
  }
}

TEST_F(PipelineTest, CsvNamesTheWorstFeatures) {
  PipelineOptions csv = options("scores.csv", kScoreTask);
  csv.worst = 2;
  run(csv);
  run(options("scores.raw", kScoreTask));
  std::istringstream lines(content_of(folder_ / "scores.csv"));
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, "score,worst_1_feature,worst_1_error,worst_2_feature,worst_2_error");
  const std::vector<float> scores = floats_of("scores.raw");
  for (const float score : scores) {
    ASSERT_TRUE(std::getline(lines, line));
    float found = 0, error1 = 0, error2 = 0;
    unsigned feature1 = 0, feature2 = 0;
    ASSERT_EQ(
        sscanf(line.c_str(), "%f,%u,%f,%u,%f", &found, &feature1, &error1, &feature2, &error2), 5);
    EXPECT_NEAR(found, score, 1e-5f * score);
    EXPECT_GE(error1, error2);
    EXPECT_LE(error1 + error2, 12 * found * 1.0001f);
    EXPECT_TRUE(feature1 < 12 && feature2 < 12 && feature1 != feature2);
  }
  EXPECT_FALSE(std::getline(lines, line));
}

TEST_F(PipelineTest, StoppedAndResumedIsByteForByteTheSame) {
  for (const char* suffix : {".npy", ".raw", ".csv"}) {
    const std::string whole = std::string("whole") + suffix, name = std::string("parts") + suffix;
    run(options(whole));
    for (const uint64_t stop : {100u, 600u, 1200u}) {
      PipelineOptions parts = options(name);
      parts.progress = [=](const PipelineProgress& now) { return now.rows < stop; };
      const PipelineResult stopped = run(parts);
      EXPECT_TRUE(stopped.is_cancelled);
      EXPECT_FALSE(std::filesystem::exists(folder_ / name));
      parts.progress = {};
      parts.resume = true;
      parts.batch_rows = 77;
      const PipelineResult rest = run(parts);
      EXPECT_EQ(rest.resumed_rows, stopped.rows_read);
      EXPECT_EQ(rest.rows_written, kRows);
      EXPECT_EQ(content_of(folder_ / name), content_of(folder_ / whole));
      EXPECT_FALSE(std::filesystem::exists(folder_ / (name + ".partial")));
      std::filesystem::remove(folder_ / name);
    }
  }
}

TEST_F(PipelineTest, RowsAboveTheThresholdAreCountedAcrossResumptions) {
  const uint64_t above = run(options("whole.csv", kScoreTask)).above_threshold;
  for (const uint64_t stop : {100u, 600u}) {
    PipelineOptions parts = options("parts.csv", kScoreTask);
    parts.progress = [=](const PipelineProgress& now) { return now.rows < stop; };
    const PipelineResult stopped = run(parts);
    EXPECT_GT(stopped.above_threshold, 0u);
    EXPECT_LT(stopped.above_threshold, above);
    parts.progress = {};
    parts.resume = true;
    EXPECT_EQ(run(parts).above_threshold, above);
    std::filesystem::remove(folder_ / "parts.csv");
  }
}

TEST_F(PipelineTest, KilledAndResumedIsByteForByteTheSame) {
  run(options("whole.npy"));
  for (int round = 0; round < 5; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      backend_ = create_host_backend(2);  // threads do not survive a fork
      PipelineOptions slow = options("killed.npy");
      slow.batch_rows = 50;
      slow.checkpoint_seconds = 0;
      slow.progress = [](const PipelineProgress&) { return usleep(1000) == 0; };
      run(slow);
      _exit(0);
    }
    const std::string journal = folder_ / "killed.npy.partial.journal";
    while (!std::filesystem::exists(journal) && !std::filesystem::exists(folder_ / "killed.npy"))
      usleep(100);
    usleep(static_cast<useconds_t>(3000 * round));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    PipelineOptions rest = options("killed.npy");
    rest.resume = true;
    run(rest);
    EXPECT_EQ(content_of(folder_ / "killed.npy"), content_of(folder_ / "whole.npy")) << round;
    std::filesystem::remove(folder_ / "killed.npy");
  }
}

// Killed when the output had its name already, with the journal still there or not: --resume has
// nothing to continue, makes the output anew and ends well, as often as it is asked.
TEST_F(PipelineTest, ResumingAFinishedOutputMakesItAnew) {
  PipelineOptions again = options("codes.npy");
  again.resume = true;
  again.checkpoint_seconds = 0;
  std::string journal;
  again.progress = [&](const PipelineProgress& now) {
    if (now.rows >= 900 && journal.empty())
      journal = content_of(folder_ / "codes.npy.partial.journal");
    return true;
  };
  run(again);
  const std::string whole = content_of(folder_ / "codes.npy");
  ASSERT_FALSE(journal.empty());
  for (const bool journal_is_left : {false, true, false}) {
    if (journal_is_left) std::ofstream(folder_ / "codes.npy.partial.journal") << journal;
    const PipelineResult result = run(again);
    EXPECT_EQ(result.resumed_rows, 0u);
    EXPECT_EQ(result.rows_written, kRows);
    EXPECT_EQ(content_of(folder_ / "codes.npy"), whole);
    EXPECT_FALSE(std::filesystem::exists(folder_ / "codes.npy.partial"));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "codes.npy.partial.journal"));
  }
}

TEST_F(PipelineTest, ResumingWithOtherOptionsIsRefused) {
  PipelineOptions parts = options("codes.raw");
  parts.progress = [](const PipelineProgress& now) { return now.rows < 300; };
  run(parts);
  parts.progress = {};
  parts.resume = true;
  parts.output_dtype = DType::kF16;
  EXPECT_EQ(error_of(parts, *data_.data).code(), ErrorCode::kStale);
  parts.output_dtype = DType::kF32;
  const FloatData other(planar_rows(kRows - 1, 12, 6), 12);
  EXPECT_EQ(error_of(parts, *other.data).code(), ErrorCode::kStale);
  parts.on_bad_value = BadValue::kZero;
  EXPECT_EQ(error_of(parts, *data_.data).code(), ErrorCode::kStale);
  parts.on_bad_value = BadValue::kError;
  parts.inference.fast_policy = true;
  EXPECT_EQ(error_of(parts, *data_.data).code(), ErrorCode::kStale);
  parts.inference.fast_policy = false;
  ModelFile changed = model();
  changed.parameters.writable(0).back() += 1;
  EXPECT_THROW(run_pipeline(*backend_, changed, *data_.data, parts), Error);
  EXPECT_EQ(run(parts).rows_written, kRows);
}

// Neither was ever in a file, and the weights are the same.
TEST_F(PipelineTest, ResumingWithAnotherThresholdIsRefused) {
  ModelFile unsaved = model();
  unsaved.hash.clear();
  PipelineOptions parts = options("scores.csv", kScoreTask);
  parts.progress = [](const PipelineProgress& now) { return now.rows < 300; };
  run_pipeline(*backend_, unsaved, *data_.data, parts);
  parts.progress = {};
  parts.resume = true;
  ModelFile other = unsaved;
  other.threshold = 2 * unsaved.threshold.value();
  try {
    run_pipeline(*backend_, other, *data_.data, parts);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kStale);
  }
  EXPECT_GT(run_pipeline(*backend_, unsaved, *data_.data, parts).resumed_rows, 0u);
}

TEST_F(PipelineTest, ResumingAfterTheInputWasReplacedIsRefused) {
  const std::string input = folder_ / "rows.npy";
  PipelineOptions write = options("rows.npy", kReconstructTask);
  run(write);
  PipelineOptions parts = options("codes.raw");
  parts.progress = [](const PipelineProgress& now) { return now.rows < 300; };
  run_pipeline(*backend_, model(), *open_dataset(input), parts);
  parts.progress = {};
  parts.resume = true;
  std::string content = content_of(input);
  content[content.size() - 3] = static_cast<char>(content[content.size() - 3] ^ 1);
  std::ofstream(input, std::ios::binary) << content;  // of the same size and shape
  EXPECT_EQ(error_of(parts, *open_dataset(input)).code(), ErrorCode::kStale);
}

TEST_F(PipelineTest, BadValues) {
  std::vector<float> rows = data_.values;
  rows[700 * 12 + 3] = std::numeric_limits<float>::infinity();
  const FloatData broken(rows, 12);
  const Error error = error_of(options("codes.npy"), *broken.data);
  EXPECT_EQ(error.code(), ErrorCode::kData);
  EXPECT_THAT(error.what(), HasSubstr("row 700, column 3"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "codes.npy"));
  PipelineOptions skip = options("codes.npy");
  skip.on_bad_value = BadValue::kSkip;
  const PipelineResult result = run_pipeline(*backend_, model(), *broken.data, skip);
  EXPECT_EQ(result.rows_written, kRows - 1);
  EXPECT_EQ(open_dataset(folder_ / "codes.npy")->text(), "f32[1236,3]");
  skip.on_bad_value = BadValue::kMean;
  EXPECT_EQ(run_pipeline(*backend_, model(), *broken.data, skip).rows_written, kRows);
}

TEST_F(PipelineTest, InputsThatDoNotFitAreRefused) {
  const FloatData narrow(planar_rows(10, 11, 5), 11);
  const Error error = error_of(options("codes.npy"), *narrow.data);
  EXPECT_EQ(error.code(), ErrorCode::kData);
  EXPECT_THAT(error.what(), HasSubstr("expected rows f32[*,12], found f32[10,11]"));
  const Error codes = error_of(options("rows.npy", kDecodeTask), *data_.data);
  EXPECT_EQ(codes.code(), ErrorCode::kData);
  EXPECT_THAT(codes.what(), HasSubstr("expected rows f32[*,3] (codes), found f32[1237,12]"));
  PipelineOptions worst = options("scores.npy", kScoreTask);
  worst.worst = 2;
  EXPECT_EQ(error_of(worst, *data_.data).code(), ErrorCode::kUsage);
  PipelineOptions nowhere = options("no/such/folder.npy");
  EXPECT_EQ(error_of(nowhere, *data_.data).code(), ErrorCode::kResource);
}

// A host that has no memory for more than a few rows at once.
class TightBackend : public ForwardingBackend {
 public:
  TightBackend(Backend& real, uint64_t most_bytes)
      : ForwardingBackend(real), most_bytes_(most_bytes) {}

  void* allocate(uint64_t bytes) override {
    if (bytes > most_bytes_)
      throw Error(ErrorCode::kResource, cat("wanted ", bytes, " bytes, free ", most_bytes_));
    return ForwardingBackend::allocate(bytes);
  }
  uint64_t free_bytes() const override { return most_bytes_; }

 private:
  uint64_t most_bytes_;
};

TEST_F(PipelineTest, ShortMemoryHalvesTheBatchAndKeepsTheBits) {
  run(options("whole.npy"));
  TightBackend tight(*backend_, 8192);
  PipelineOptions few = options("tight.npy");
  few.inference.max_rows = 512;
  const PipelineResult result = run_pipeline(tight, model(), *data_.data, few);
  EXPECT_LT(result.batch_rows, 100u);
  EXPECT_EQ(content_of(folder_ / "tight.npy"), content_of(folder_ / "whole.npy"));
  TightBackend hopeless(*backend_, 64);
  EXPECT_THROW(run_pipeline(hopeless, model(), *data_.data, few), Error);
}

TEST_F(PipelineTest, EstimateIsWhatIsWritten) {
  const PipelineEstimate estimate =
      estimate_pipeline(*backend_, model(), *data_.data, options("codes.npy"));
  run(options("codes.npy"));
  EXPECT_EQ(estimate.rows, kRows);
  EXPECT_EQ(estimate.row.text(), "f32[3]");
  EXPECT_EQ(estimate.output_bytes, std::filesystem::file_size(folder_ / "codes.npy"));
}

// A task is its entry and its graph: types and widths come from there, integers stay integers.
TEST_F(PipelineTest, ATaskWithOutputsOfSeveralTypes) {
  const Inference inference(*backend_, model(), {});
  Picked whole(kRows), part(10);
  inference.run(picking_task(), rows_in_memory(), whole.results(), {}, {.seed = 0});
  const RawRows last{DType::kF32, false, rows_in_memory().bytes.last(10 * 12 * sizeof(float)), 10};
  inference.run(picking_task(), last, part.results(), {}, {.first_row = kRows - 10});
  EXPECT_TRUE(std::ranges::equal(part.codes, std::span(whole.codes).last(part.codes.size())));
  EXPECT_TRUE(std::ranges::equal(part.rows, std::span(whole.rows).last(part.rows.size())));
  EXPECT_FALSE(std::ranges::equal(std::span(whole.codes).first(20), part.codes));

  std::string expected = "pick_1,pick_2";
  for (int i = 0; i < 12; ++i) expected += cat(",x", i);
  for (uint64_t row = 0; row < kRows; ++row) {
    expected += cat("\n", whole.codes[2 * row], ",", whole.codes[2 * row + 1]);
    for (uint64_t i = 0; i < 12; ++i) {
      char text[32];
      const auto end = std::to_chars(text, std::end(text), whole.rows[row * 12 + i]).ptr;
      expected += "," + std::string(text, end);
    }
  }
  for (const int64_t batch : {7, 100, 4096}) {
    PipelineOptions csv = options("picked.csv", picking_task());
    csv.batch_rows = batch;
    run(csv);
    EXPECT_TRUE(content_of(folder_ / "picked.csv") == expected + "\n") << batch;
  }
  EXPECT_THAT(error_of(options("picked.npy", picking_task()), *data_.data).what(),
              HasSubstr("the noisy rows of each row need a .csv output"));
  PipelineOptions half = options("picked.csv", picking_task());
  half.output_dtype = DType::kF16;
  EXPECT_THAT(error_of(half, *data_.data).what(), HasSubstr("codes are u32, not f16"));
}

TEST_F(PipelineTest, TasksWithTwoInputsAndWithNone) {
  const Inference inference(*backend_, model(), {.max_rows = 1});
  std::vector<float> distances(kRows), self(kRows);
  const RawRows rows = rows_in_memory();
  inference.run(distance_task(), std::array{rows, rows},
                std::array<TaskResults, 1>{std::span(self)});
  EXPECT_EQ(self, std::vector<float>(kRows, 0));
  RawRows few = rows;
  few.rows = 1;
  few.bytes = few.bytes.first(12 * sizeof(float));
  EXPECT_THROW(inference.run(distance_task(), std::array{rows, few},
                             std::array<TaskResults, 1>{std::span(distances)}),
               Error);
  std::vector<float> drawn(5 * 12), again(5 * 12), other(5 * 12);
  const std::span<const RawRows> none;
  inference.run(drawing_task(), none, std::array<TaskResults, 1>{std::span(drawn)}, {},
                {.rows = 5});
  inference.run(drawing_task(), none, std::array<TaskResults, 1>{std::span(again)}, {},
                {.rows = 5});
  inference.run(drawing_task(), none, std::array<TaskResults, 1>{std::span(other)}, {},
                {.rows = 5, .seed = 1});
  EXPECT_EQ(drawn, again);
  EXPECT_NE(drawn, other);
  EXPECT_FALSE(std::equal(drawn.begin(), drawn.begin() + 12, drawn.begin() + 12));
}

TEST_F(PipelineTest, ATaskThatReadsNotOneFileIsRefused) {
  EXPECT_THAT(error_of(options("out.raw", distance_task()), *data_.data).what(),
              HasSubstr("distance: expected a task with one input, found 2"));
  const TensorDesc row(DType::kF32, {12});
  EXPECT_THROW(input_row(drawing_task(), row, model().network()), Error);
}

}  // namespace
}  // namespace diabolo
