// Numbers that are not finite, from file to file: none comes out unannounced, the first of the file
// is named, whatever the batch and the threads.
#include <gmock/gmock.h>

#include <limits>

#include "base/expect_error.h"
#include "base/memory_file_system.h"
#include "data/dataset.h"
#include "jobs/encode_pipeline.h"
#include "jobs/row_output.h"
#include "train/training_fixture.h"

namespace diabolo {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kRows = 1237;
constexpr uint64_t kWidth = 12;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class BadValues : public ::testing::Test {
 protected:
  static ModelFile trained() {
    const auto backend = create_host_backend(2);
    const FloatData data(planar_rows(300, kWidth, 1), kWidth);
    Config config = small_config();
    config.data.on_bad_value = BadValue::kMean;  // keeps the means
    ModelFile model = train(*backend, config, *data.data, nullptr, {}, {}).model;
    for (float& weight : model.parameters.writable(0))
      weight *= 100;  // so that f32 is soon too small
    return model;
  }
  static const ModelFile& model() {
    static const ModelFile kModel = trained();
    return kModel;
  }

  PipelineOptions options(const Task& task, BadValue policy = BadValue::kError) {
    PipelineOptions out;
    out.task = &task;
    out.output = folder_ / "out.raw";
    out.batch_rows = 100;
    out.on_bad_value = policy;
    return out;
  }
  void fill_row(uint64_t row, float value) {
    std::fill_n(data_.values.begin() + static_cast<ptrdiff_t>(row * kWidth), kWidth, value);
  }
  PipelineResult run(const PipelineOptions& options) {
    return run_pipeline(*backend_, model(), *data_.data, options);
  }
  Error error_of(const PipelineOptions& options) {
    try {
      run(options);
    } catch (const Error& error) {
      EXPECT_FALSE(std::filesystem::exists(options.output));
      return error;
    }
    ADD_FAILURE() << "no error";
    return Error(ErrorCode::kOk, "");
  }
  std::vector<float> output() {
    const std::string bytes = content_of(folder_ / "out.raw");
    std::vector<float> out(bytes.size() / sizeof(float));
    std::memcpy(out.data(), bytes.data(), out.size() * sizeof(float));
    return out;
  }

  TemporaryFolder folder_;
  std::unique_ptr<Backend> backend_ = create_host_backend(2);
  FloatData data_{planar_rows(kRows, kWidth, 5), kWidth};
};

TEST_F(BadValues, AResultThatIsNotFiniteIsAnErrorUnlessItsRowIsLeftOut) {
  fill_row(700, 3e38f);
  for (const Task* each : {&kEncodeTask, &kReconstructTask}) {
    const Task& task = *each;
    for (const BadValue policy : {BadValue::kError, BadValue::kZero, BadValue::kMean}) {
      const Error error = error_of(options(task, policy));
      EXPECT_EQ(error.code(), ErrorCode::kData);
      EXPECT_THAT(error.what(), HasSubstr("row 700, column "));
      ASSERT_TRUE(error.position().has_value());
      EXPECT_EQ(error.position()->row, 700u);
    }
    EXPECT_EQ(run(options(task, BadValue::kSkip)).rows_written, kRows - 1);
    for (const float value : output()) ASSERT_TRUE(std::isfinite(value));
    std::filesystem::remove(folder_ / "out.raw");
  }
}

TEST_F(BadValues, DecodedRowsThatAreNotFiniteAreErrors) {
  FloatData codes(std::vector<float>(300 * 3, 0.5f), 3);
  codes.values[250 * 3] = codes.values[250 * 3 + 1] = 3e38f;
  codes.values[250 * 3 + 2] = -3e38f;
  try {
    run_pipeline(*backend_, model(), *codes.data, options(kDecodeTask));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kData);
    EXPECT_THAT(error.what(), HasSubstr("row 250, column "));
    EXPECT_THAT(error.what(), HasSubstr("of the decoded rows"));
  }
  codes.values[250 * 3] = kNan;
  const auto skipping = options(kDecodeTask, BadValue::kSkip);
  EXPECT_EQ(run_pipeline(*backend_, model(), *codes.data, skipping).rows_written, 299u);
}

TEST_F(BadValues, TheFirstBadRowOfTheFileIsNamed) {
  fill_row(1100, 3e38f);
  data_.values[640 * kWidth + 7] = kNan;
  data_.values[640 * kWidth + 9] = kNan;
  for (const int64_t batch : {1, 7, 100, 5000}) {
    auto some = options(kEncodeTask);
    some.batch_rows = batch;
    EXPECT_EQ(error_of(some).position(), (DataPosition{640, 7})) << batch;
  }
  fill_row(3, 3e38f);
  for (const int64_t batch : {1, 7, 100, 5000}) {
    auto some = options(kReconstructTask);
    some.batch_rows = batch;
    EXPECT_EQ(error_of(some).position()->row, 3u) << batch;
  }
}

std::string csv_of(std::span<const float> values) {
  std::string text;
  for (size_t i = 0; i < values.size(); ++i)
    text += cat(values[i], i % kWidth + 1 == kWidth ? '\n' : ',');
  return text;
}

// Whether its rows are read in parts by the threads or, as of a stream, in blocks.
TEST_F(BadValues, OfANumberAndACellThatIsNoneTheFirstIsNamed) {
  using Kind = testing::MemoryFileSystem::Kind;
  for (const uint64_t number : {641, 645}) {
    std::vector<float> values = data_.values;
    values[number * kWidth + 7] = kNan;
    std::string text = csv_of(values);
    size_t at = 0;
    for (int i = 0; i < 643; ++i) at = text.find('\n', at) + 1;
    text.insert(at, "word");
    for (const Kind kind : {Kind::kRegular, Kind::kPipe})
      for (const int64_t batch : {1, 2, 7, 100, 5000}) {
        SCOPED_TRACE(cat(number, " ", batch, kind == Kind::kPipe ? " stream" : " file"));
        testing::MemoryFileSystem fs(text, kind);
        const auto table = open_dataset("t.csv", {.fs = &fs});
        auto some = options(kEncodeTask);
        some.batch_rows = batch;
        const Error error =
            testing::error_of([&] { run_pipeline(*backend_, model(), *table, some); });
        ASSERT_TRUE(error.position().has_value()) << error.what();
        EXPECT_EQ(error.position()->row, std::min<uint64_t>(number, 643)) << error.what();
      }
  }
}

TEST_F(BadValues, RowsThatAreLeftOutChangeNoOther) {
  run(options(kEncodeTask));
  const std::vector<float> whole = output();
  std::vector<float> expected;
  for (uint64_t row = 0; row < kRows; ++row)
    if (row % 5 != 3) expected.insert(expected.end(), &whole[row * 3], &whole[row * 3] + 3);
  for (uint64_t row = 3; row < kRows; row += 5) data_.values[row * kWidth + row % kWidth] = kNan;
  for (const int64_t batch : {1, 4, 100, 5000}) {
    auto some = options(kEncodeTask, BadValue::kSkip);
    some.batch_rows = batch;
    EXPECT_EQ(run(some).rows_written, expected.size() / 3);
    EXPECT_EQ(output(), expected) << batch;
  }
}

TEST_F(BadValues, CodesThatTheTypeCannotHoldAreErrorsUnderEveryPolicy) {
  fill_row(900, 1e6f);
  for (const BadValue policy : {BadValue::kError, BadValue::kZero, BadValue::kSkip}) {
    auto half = options(kEncodeTask, policy);
    half.output_dtype = DType::kF16;
    const Error error = error_of(half);
    EXPECT_EQ(error.code(), ErrorCode::kData);
    EXPECT_THAT(error.what(), HasSubstr("row 900, column "));
    EXPECT_THAT(error.what(), HasSubstr("which f16 cannot hold (use f32"));
  }
  for (const DType wide : {DType::kF32, DType::kBf16}) {
    auto other = options(kEncodeTask);
    other.output_dtype = wide;
    EXPECT_EQ(run(other).rows_written, kRows);
  }
}

// A row that is left out for its input is computed from zeros, which says nothing about it.
TEST_F(BadValues, CodesOfRowsThatAreLeftOutNeedNotFit) {
  ModelFile large = model();
  large.hash.clear();
  for (size_t i = 0; i < large.parameters.size(); ++i)
    std::ranges::fill(large.parameters.writable(i), 1e6f);
  for (uint64_t row = 0; row < kRows; ++row) data_.values[row * kWidth] = kNan;
  auto half = options(kEncodeTask, BadValue::kSkip);
  half.output_dtype = DType::kF16;
  EXPECT_EQ(run_pipeline(*backend_, large, *data_.data, half).rows_written, 0u);
}

std::vector<uint64_t> numbers_in(const std::string& path) {
  const auto list = open_dataset(path);
  EXPECT_EQ(list->x().row.dtype(), DType::kU64);
  EXPECT_EQ(list->x().row.rank(), 0);
  std::vector<uint64_t> out(*list->rows());
  list->read(0, 0, out.size(), std::as_writable_bytes(std::span(out)));
  return out;
}

// The third of every five rows is left out; and, of the rest, the last.
class LeftOut : public BadValues {
 protected:
  LeftOut() {
    for (uint64_t row = 0; row < kRows; ++row) {
      if (row % 5 == 3 || row + 1 == kRows)
        data_.values[row * kWidth + row % kWidth] = kNan;
      else
        kept_.push_back(row);
    }
  }
  PipelineOptions to(const std::string& name, const Task& task = kEncodeTask) {
    PipelineOptions out = options(task, BadValue::kSkip);
    out.output = folder_ / name;
    return out;
  }
  bool exists(const std::string& name) { return std::filesystem::exists(folder_ / name); }

  std::vector<uint64_t> kept_;
};

TEST_F(LeftOut, TheRowsThatAreNotHaveTheirNumbersBesideTheOutput) {
  for (const char* name : {"out.npy", "out.raw"}) {
    for (const int64_t batch : {1, 100, 5000}) {
      auto some = to(name);
      some.batch_rows = batch;
      run(some);
      EXPECT_EQ(numbers_in(list_path(some.output)), kept_);
    }
  }
  EXPECT_EQ(estimate_pipeline(*backend_, model(), *data_.data, to("out.npy")).output_bytes,
            128 + kRows * 3 * sizeof(float) + 128 + kRows * sizeof(uint64_t));
}

TEST_F(LeftOut, CsvNumbersItsRows) {
  auto csv = to("out.csv", kScoreTask);
  csv.worst = 1;
  run(csv);
  std::istringstream lines(content_of(csv.output));
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, "row,score,worst_1_feature,worst_1_error");
  for (const uint64_t row : kept_) {
    ASSERT_TRUE(std::getline(lines, line));
    EXPECT_EQ(line.substr(0, line.find(',')), cat(row));
  }
  EXPECT_FALSE(std::getline(lines, line));
  EXPECT_FALSE(exists("out.csv.rows.npy"));
  run(to("codes.csv"));
  EXPECT_EQ(content_of(folder_ / "codes.csv").substr(0, 12), "row,x0,x1,x2");
}

TEST_F(LeftOut, StoppedAndResumedTheListIsTheSame) {
  run(to("whole.npy"));
  for (const uint64_t stop : {100u, 600u, 1200u}) {
    auto parts = to("parts.npy");
    parts.progress = [=](const PipelineProgress& now) { return now.rows < stop; };
    EXPECT_TRUE(run(parts).is_cancelled);
    EXPECT_FALSE(exists("parts.npy.rows.npy"));
    parts.progress = {};
    parts.resume = true;
    parts.batch_rows = 77;
    EXPECT_GT(run(parts).resumed_rows, 0u);
    EXPECT_EQ(content_of(folder_ / "parts.npy"), content_of(folder_ / "whole.npy"));
    EXPECT_EQ(content_of(folder_ / "parts.npy.rows.npy"),
              content_of(folder_ / "whole.npy.rows.npy"));
    EXPECT_FALSE(exists("parts.npy.rows.npy.partial"));
    std::filesystem::remove(folder_ / "parts.npy");
    std::filesystem::remove(folder_ / "parts.npy.rows.npy");
  }
}

TEST_F(LeftOut, ADamagedListIsNotContinued) {
  auto parts = to("out.npy");
  parts.progress = [](const PipelineProgress& now) { return now.rows < 600; };
  run(parts);
  parts.progress = {};
  parts.resume = true;
  const std::string list = folder_ / "out.npy.rows.npy.partial";
  std::string bytes = content_of(list);
  bytes[200] = static_cast<char>(bytes[200] ^ 1);
  std::ofstream(list, std::ios::binary) << bytes;
  EXPECT_EQ(error_of(parts).code(), ErrorCode::kStale);
  std::filesystem::remove(list);
  const std::string partial = content_of(folder_ / "out.npy.partial");
  const Error error = error_of(parts);
  EXPECT_EQ(error.code(), ErrorCode::kStale);
  EXPECT_THAT(error.what(), HasSubstr("has 0 bytes, its journal says"));
  EXPECT_FALSE(exists("out.npy.rows.npy.partial"));
  EXPECT_EQ(content_of(folder_ / "out.npy.partial"), partial);
  parts.resume = false;
  run(parts);
  EXPECT_EQ(numbers_in(list_path(parts.output)), kept_);
}

TEST_F(LeftOut, WorkBegunWithAnotherPolicyIsNotThrownAway) {
  for (const bool skips_first : {false, true}) {
    auto parts = to("out.npy");
    parts.on_bad_value = skips_first ? BadValue::kSkip : BadValue::kZero;
    parts.progress = [](const PipelineProgress& now) { return now.rows < 600; };
    run(parts);
    const std::string partial = content_of(folder_ / "out.npy.partial");
    auto other = to("out.npy");
    other.on_bad_value = skips_first ? BadValue::kZero : BadValue::kSkip;
    other.resume = true;
    EXPECT_EQ(error_of(other).code(), ErrorCode::kStale);
    EXPECT_EQ(content_of(folder_ / "out.npy.partial"), partial);
    EXPECT_EQ(exists("out.npy.rows.npy.partial"), skips_first);
    parts.progress = {};
    parts.resume = true;
    EXPECT_GT(run(parts).resumed_rows, 0u);
    std::filesystem::remove(folder_ / "out.npy");
  }
}

TEST_F(LeftOut, AnOldListDoesNotStayBesideANewOutput) {
  auto parts = to("out.npy");
  run(parts);
  parts.progress = [](const PipelineProgress& now) { return now.rows < 600; };
  run(parts);
  EXPECT_TRUE(exists("out.npy.rows.npy") && exists("out.npy.rows.npy.partial"));
  auto all = to("out.npy");
  all.on_bad_value = BadValue::kZero;
  run(all);
  EXPECT_FALSE(exists("out.npy.rows.npy") || exists("out.npy.rows.npy.partial"));
}

TEST_F(LeftOut, StreamsHaveNoPlaceForAList) {
  auto stream = to("out");
  stream.output = "/dev/null";
  try {
    run(stream);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    EXPECT_THAT(error.what(), HasSubstr("write .csv"));
  }
  stream.output_format = "csv";
  EXPECT_EQ(run(stream).rows_written, kept_.size());
}

// What can be read before a damaged place is looked at first.
TEST_F(BadValues, ABadRowComesBeforeAReadErrorBehindIt) {
  class Broken : public Dataset {
   public:
    Broken(const Dataset& whole, bool gives_parts)
        : Dataset("broken", {{"x", whole.x().row}}, whole.rows()), whole_(whole) {
      gives_parts_ = gives_parts;
    }

   private:
    uint64_t read_rows(uint64_t first, uint64_t count,
                       std::span<const FieldRows> wanted) const override {
      if (first >= 300) throw Error(ErrorCode::kData, "broken: cannot read");
      return whole_.read(first, count, wanted);
    }
    const Dataset& whole_;
  };
  const auto what = [&](bool gives_parts) {
    const Broken broken(*data_.data, gives_parts);
    try {
      run_pipeline(*backend_, model(), broken, options(kEncodeTask));
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  // Read ahead, and by the threads that compute.
  for (const bool gives_parts : {false, true}) EXPECT_EQ(what(gives_parts), "broken: cannot read");
  data_.values[299 * kWidth] = kNan;
  for (int i = 0; i < 20; ++i)
    for (const bool gives_parts : {false, true})
      EXPECT_THAT(what(gives_parts), HasSubstr("row 299, column 0 is NaN"));
}

}  // namespace
}  // namespace diabolo
