// A task's inputs are fields of the table by their roles: x, a label and a target side by side.
#include <gmock/gmock.h>

#include <filesystem>

#include "base/expect_error.h"
#include "data/dataset.h"
#include "jobs/encode_pipeline.h"
#include "ops/activate.h"
#include "ops/row_score.h"
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
  void run(const Dataset& table) {
    const FloatData data(planar_rows(300, kWidth, 1), kWidth);
    static const ModelFile kModel =
        train(*create_host_backend(2), small_config(), *data.data, nullptr, {}, {}).model;
    PipelineOptions options;
    options.task = &labelled_task();
    options.output = folder_ / "out.csv";
    options.batch_rows = 100;
    run_pipeline(*backend_, kModel, table, options);
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
    const std::string text = content_of(folder_ / "out.csv");
    for (uint64_t row = 0; row < kRows; ++row) {
      const std::string label = std::to_string(std::max<int>(0, static_cast<int>(row) - 9));
      if (row == 3) continue;  // its distance is not 0
      EXPECT_THAT(text, HasSubstr(cat("\n", label, ",0\n"))) << row;
    }
    EXPECT_EQ(std::ranges::count(text, '\n'), kRows + 1);
    std::filesystem::remove(folder_ / "out.csv");
  }
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
