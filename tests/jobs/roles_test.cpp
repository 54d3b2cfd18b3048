// A task's inputs are fields of the table by their roles: x, a label and a target side by side.
#include <gmock/gmock.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <sstream>

#include "base/expect_error.h"
#include "data/dataset.h"
#include "jobs/encode_pipeline.h"
#include "ops/activate.h"
#include "ops/row_score.h"
#include "train/stateful_part.h"
#include "train/training_fixture.h"

namespace diabolo {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kRows = 537;
constexpr uint64_t kWidth = 12;

// The label where it is not below 0, and how far the target lies from the row, in scaled units.
const Task& labelled_task() {
  static constexpr TaskInput kIn[] = {{},
                                      {.name = "label", .role = FieldRole::kLabel},
                                      {.name = "target", .role = FieldRole::kTarget}};
  static constexpr TaskOutput kOut[] = {
      {.name = "label out", .what = "labels", .csv_name = "label"},
      {.name = "distance", .what = "distances"}};
  static const Task kTask = {
      .number = 105,
      .name = "label",
      .what = "",
      .inputs = kIn,
      .outputs = kOut,
      .build = [](ModelGraph& graph, std::span<const ValueId> in, int64_t) {
        const ActivateAttrs relu{kernels::Activation::kRelu};
        graph.mark_output(graph.graph().add(kActivate, relu, {in[1]}, "label").front(),
                          "label out");
        graph.mark_output(
            graph.graph().add(kRowScore, RowScoreAttrs{0}, {in[0], in[2]}, "distance").front(),
            "distance");
      }};
  return kTask;
}

// A number more than a label that is an integer.
void add_one(const uint16_t* x, uint16_t* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<uint16_t>(x[i] + 1);
}
constexpr std::array kAddOneKernels = {
    Kernel{.name = "reference.add_one",
           .space = Space::kHost,
           .is_reference = true,
           .in_place = {},
           .accepts = [](const Call&, const DeviceInfo&) -> std::string { return ""; },
           .scratch_bytes = glue::no_scratch,
           .prepare = [](const Call& call, const DeviceInfo&, void*) -> kernels::Launch {
             return [n = call.in[0].desc.elems(), x = glue::input<uint16_t>(call, 0),
                     y = glue::output<uint16_t>(call, 0)](void*) { add_one(x, y, n); };
           }}};
constexpr OpDef kAddOne = {
    "add_one",
    [](const Attrs&, std::span<const TensorDesc> in) { return std::vector{in[0]}; },
    nullptr,
    stateful::cost,
    stateful::describe,
    kAddOneKernels};

const Task& grading_task() {
  static constexpr TaskInput kIn[] = {
      {}, {.name = "grade", .role = FieldRole::kLabel, .dtype = DType::kU16}};
  static constexpr TaskOutput kOut[] = {{.name = "next", .what = "grades", .csv_name = "next"}};
  static const Task kTask = {
      .number = 106,
      .name = "grade",
      .what = "",
      .inputs = kIn,
      .outputs = kOut,
      .build = [](ModelGraph& graph, std::span<const ValueId> in, int64_t) {
        graph.mark_output(graph.graph().add(kAddOne, stateful::NoAttrs{}, {in[1]}, "next").front(),
                          "next");
      }};
  return kTask;
}

// Its rows by the threads that compute, or whole.
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

class RolesTest : public ::testing::Test {
 protected:
  RolesTest() {
    for (uint64_t row = 0; row < kRows; ++row) {
      labels_.push_back(static_cast<int16_t>(static_cast<int>(row) - 9));
      texts_.push_back("nine");
    }
  }
  MemoryField x() const { return {{"x", kRow}, std::as_bytes(std::span(values_)), {}}; }
  MemoryField label() const {
    return {{"grade", TensorDesc(DType::kI16, {}), FieldRole::kLabel},
            std::as_bytes(std::span(labels_)),
            {}};
  }
  MemoryField target() const {
    return {{"after", kRow, FieldRole::kTarget}, std::as_bytes(std::span(targets_)), {}};
  }
  template <class T>
  static MemoryField label_of(const std::vector<T>& labels, DType dtype) {
    return {
        {"grade", TensorDesc(dtype, {}), FieldRole::kLabel}, std::as_bytes(std::span(labels)), {}};
  }
  PipelineResult run(const Dataset& table, const Task& task = labelled_task(),
                     BadValue on_bad_value = BadValue::kError) {
    const FloatData data(planar_rows(300, kWidth, 1), kWidth);
    static const ModelFile kModel =
        train(*create_host_backend(2), small_config(), *data.data, nullptr, {}, {}).model;
    PipelineOptions options;
    options.task = &task;
    options.on_bad_value = on_bad_value;
    options.output = folder_ / "out.csv";
    options.batch_rows = 100;
    return run_pipeline(*backend_, kModel, table, options);
  }
  // Of the output, without the header.
  std::vector<std::string> lines() const {
    std::istringstream text(content_of(folder_ / "out.csv"));
    std::vector<std::string> out;
    for (std::string line; std::getline(text, line);) out.push_back(line);
    out.erase(out.begin());
    return out;
  }

  const TensorDesc kRow{DType::kF32, {static_cast<int64_t>(kWidth)}};
  TemporaryFolder folder_;
  std::unique_ptr<Backend> backend_ = create_host_backend(2);
  std::vector<float> values_ = planar_rows(kRows, kWidth, 5), targets_ = values_;
  std::vector<int16_t> labels_;
  std::vector<std::string> texts_;
};

TEST_F(RolesTest, EachInputIsTheFieldOfItsRole) {
  targets_[3 * kWidth] += 1;
  for (const bool gives_parts : {false, true}) {
    run(Source(*memory_table("table", {x(), target(), label()}), gives_parts));
    const std::vector<std::string> found = lines();
    ASSERT_EQ(found.size(), kRows);
    for (uint64_t row = 0; row < kRows; ++row) {
      const std::string label = std::to_string(std::max<int>(0, static_cast<int>(row) - 9));
      const size_t comma = found[row].find(',');
      EXPECT_EQ(found[row].substr(0, comma), label) << row;
      const double distance = std::stod(found[row].substr(comma + 1));
      EXPECT_TRUE(row == 3 ? distance > 0 : distance == 0) << row << ": " << distance;
    }
    std::filesystem::remove(folder_ / "out.csv");
  }
}

// Whatever type they come in; a plan that reads integers gets them as such.
TEST_F(RolesTest, LabelsThatAreIntegersStayIntegers) {
  std::vector<int64_t> longs;
  for (uint64_t row = 0; row < kRows; ++row) longs.push_back(static_cast<int64_t>(64000 + row));
  const std::vector<float> floats(longs.begin(), longs.end());
  for (const MemoryField& labels : {label_of(longs, DType::kI64), label_of(floats, DType::kF32)}) {
    run(*memory_table("table", {x(), labels}), grading_task());
    const std::vector<std::string> found = lines();
    ASSERT_EQ(found.size(), kRows);
    for (uint64_t row = 0; row < kRows; ++row) EXPECT_EQ(found[row], cat(64001 + row));
    std::filesystem::remove(folder_ / "out.csv");
  }
  longs[300] = 65536;
  longs[400] = -1;
  const Error error = testing::error_of([&] {
    run(*memory_table("t", {x(), label_of(longs, DType::kI64)}), grading_task());
  });
  EXPECT_EQ(error.code(), ErrorCode::kData);
  EXPECT_THAT(error.what(), HasSubstr("t: row 300, column 0 of the label is 65536; expected an "
                                      "integer from 0 to 65535"));
}

// What is no data has no number that could take its place; a target is data.
TEST_F(RolesTest, NoPolicyMendsALabel) {
  std::vector<float> labels(kRows, 1);
  labels[300] = std::nanf("");
  const auto message = [&](const MemoryField& label, BadValue policy) {
    const Error error = testing::error_of([&] {
      run(*memory_table("t", {x(), target(), label}), labelled_task(), policy);
    });
    EXPECT_EQ(error.code(), ErrorCode::kData);
    return std::string(error.what());
  };
  const MemoryField bad = label_of(labels, DType::kF32);
  for (const BadValue policy : {BadValue::kError, BadValue::kZero, BadValue::kMean})
    EXPECT_THAT(message(bad, policy),
                HasSubstr("t: row 300, column 0 of the label is nan; expected a finite number"));
  const auto written = [&](const MemoryField& label, BadValue policy) {
    const auto result =
        run(*memory_table("t", {x(), target(), label}), labelled_task(), policy).rows_written;
    std::filesystem::remove(folder_ / "out.csv");
    return result;
  };
  EXPECT_EQ(written(bad, BadValue::kSkip), kRows - 1);
  targets_[7 * kWidth + 2] = std::nanf("");
  EXPECT_THAT(message(label(), BadValue::kError), HasSubstr("t: target: row 7, column 2 is NaN"));
  EXPECT_EQ(written(label(), BadValue::kZero), kRows);
  EXPECT_EQ(written(bad, BadValue::kSkip), kRows - 2);
}

TEST_F(RolesTest, WhatTheTableLacksIsSaid) {
  const auto message = [&](const std::vector<MemoryField>& fields, ErrorCode code) {
    const Error error = testing::error_of([&] { run(*memory_table("t", fields)); });
    EXPECT_EQ(error.code(), code);
    return std::string(error.what());
  };
  EXPECT_THAT(message({x(), target()}, ErrorCode::kUsage),
              HasSubstr("t: label reads the label of each row, of which it has none; --label-"));
  EXPECT_THAT(message({x(), label()}, ErrorCode::kUsage), HasSubstr("reads the target"));
  MemoryField wide = label();
  wide.field.row = TensorDesc(DType::kI16, {2});
  labels_.resize(2 * kRows);
  wide.bytes = std::as_bytes(std::span(labels_));
  EXPECT_THAT(message({x(), target(), wide}, ErrorCode::kData),
              HasSubstr("grade: expected 1 numbers a row"));
  EXPECT_THAT(
      message({x(), target(), {{"grade", TensorDesc(), FieldRole::kLabel, true}, {}, texts_}},
              ErrorCode::kData),
      HasSubstr("found text"));
}

}  // namespace
}  // namespace diabolo
