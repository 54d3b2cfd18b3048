// Ids of rows go through from file to file.
#include <gmock/gmock.h>

#include <limits>
#include <sstream>

#include "data/dataset.h"
#include "jobs/encode_pipeline.h"
#include "train/training_fixture.h"

namespace diabolo {
namespace {

constexpr uint64_t kRows = 537;
constexpr uint64_t kWidth = 12;

// Whether blocks are read whole, as of a file with scattered rows, or by the threads that compute.
class Source final : public Dataset {
 public:
  Source(const Dataset& whole, bool gives_parts)
      : Dataset("table", {whole.fields().begin(), whole.fields().end()}, whole.rows()),
        whole_(whole) {
    gives_parts_ = gives_parts;
  }

 private:
  uint64_t read_rows(uint64_t first, uint64_t count,
                     std::span<const FieldRows> wanted) const override {
    return whole_.read(first, count, wanted);
  }
  const Dataset& whole_;
};

class IdsTest : public testing::Test {
 protected:
  IdsTest() {
    for (uint64_t row = 0; row < kRows; ++row)
      ids_.push_back("row, \"" + std::to_string(row) + "\"");
    ids_[1] = "9007199254740993";
    ids_[2] = "";
  }
  static const ModelFile& model() {
    static const ModelFile kModel = [] {
      const FloatData data(planar_rows(300, kWidth, 1), kWidth);
      return train(*create_host_backend(2), small_config(), *data.data, nullptr, {}, {}).model;
    }();
    return kModel;
  }
  std::vector<std::string> lines(const Task& task, bool gives_parts, const char* output,
                                 BadValue policy = BadValue::kError) {
    const TensorDesc row(DType::kF32, {static_cast<int64_t>(kWidth)});
    const auto table =
        memory_table("table", {{{"x", row}, std::as_bytes(std::span(values_)), {}},
                               {{"the \"name\"", TensorDesc(), FieldRole::kId, true}, {}, ids_}});
    PipelineOptions options;
    options.task = &task;
    options.output = folder_ / output;
    options.batch_rows = 100;
    options.on_bad_value = policy;
    run_pipeline(*backend_, model(), Source(*table, gives_parts), options);
    std::vector<std::string> out;
    std::istringstream text(content_of(folder_ / output));
    for (std::string line; std::getline(text, line);) out.push_back(line);
    return out;
  }
  // As CSV has it.
  std::string quoted(uint64_t row) const {
    return row == 1 || row == 2 ? ids_[row] : "\"row, \"\"" + std::to_string(row) + "\"\"\"";
  }

  TemporaryFolder folder_;
  std::unique_ptr<Backend> backend_ = create_host_backend(2);
  std::vector<float> values_ = planar_rows(kRows, kWidth, 5);
  std::vector<std::string> ids_;
};

TEST_F(IdsTest, AreTheFirstColumnOfCsv) {
  for (const bool gives_parts : {false, true}) {
    for (const Task* task : {&kEncodeTask, &kScoreTask}) {
      const auto found = lines(*task, gives_parts, "out.csv");
      ASSERT_EQ(found.size(), kRows + 1);
      EXPECT_EQ(found[0].rfind("\"the \"\"name\"\"\",", 0), 0u) << found[0];
      for (uint64_t row = 0; row < kRows; ++row)
        ASSERT_EQ(found[row + 1].rfind(quoted(row) + ",", 0), 0u) << found[row + 1];
    }
  }
}

TEST_F(IdsTest, StayWithTheirRowsWhereOthersAreLeftOut) {
  const std::vector<uint64_t> bad = {0, 3, 99, 100, 101, 300, kRows - 1};
  for (const uint64_t row : bad)
    values_[row * kWidth + 1] = std::numeric_limits<float>::quiet_NaN();
  for (const bool gives_parts : {false, true}) {
    const auto found = lines(kEncodeTask, gives_parts, "out.csv", BadValue::kSkip);
    ASSERT_EQ(found.size(), kRows + 1 - bad.size());
    EXPECT_NE(found[0].find(",row,x0"), std::string::npos) << found[0];
    size_t line = 1;
    for (uint64_t row = 0; row < kRows; ++row) {
      if (std::ranges::find(bad, row) != bad.end()) continue;
      const std::string begin = quoted(row) + "," + std::to_string(row) + ",";
      ASSERT_EQ(found[line++].rfind(begin, 0), 0u) << row;
    }
  }
}

TEST_F(IdsTest, AreNotInOtherFiles) {
  lines(kEncodeTask, true, "out.npy");
  EXPECT_EQ(open_dataset(folder_ / "out.npy")->rows(), kRows);
}

}  // namespace
}  // namespace diabolo
