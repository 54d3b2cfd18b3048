// Tasks that are no verb yet, as diabolo_run will run them: two inputs of different kinds, none.
#include "infer/odd_tasks.h"

#include <gmock/gmock.h>

#include "base/expect_error.h"
#include "capi/rows.h"
#include "capi/small_model.h"

namespace diabolo_test {
namespace {

using diabolo::testing::error_of;
using ::testing::HasSubstr;

// How far codes lie from those of rows.
const diabolo::Task& mixed_task() {
  static constexpr diabolo::TaskInput kIn[] = {{.name = "rows"},
                                               {.name = "codes", .is_codes = true}};
  static constexpr diabolo::TaskOutput kOut[] = {{.name = "distance", .what = "distances"}};
  static const diabolo::Task kTask = {
      .number = 104,
      .name = "mixed",
      .what = "",
      .inputs = kIn,
      .outputs = kOut,
      .build = [](diabolo::ModelGraph& graph, std::span<const diabolo::ValueId> in, int64_t) {
        graph.mark_output(graph.graph()
                              .add(diabolo::kRowScore, diabolo::RowScoreAttrs{0},
                                   {graph.encoded(in[0]), in[1]}, "distance")
                              .front(),
                          "distance");
      }};
  return kTask;
}

class OddTasks : public SmallModel {
 protected:
  static diabolo_output output(std::vector<float>& to) {
    auto out = sized<diabolo_output>();
    out.dtype = DIABOLO_F32;
    out.data = to.data();
    out.room = to.size();
    return out;
  }
  static void run(const diabolo::Task& task, std::vector<const diabolo_rows*> in,
                  std::vector<float>& to, const diabolo_row_options& options = {}) {
    const diabolo_output one = output(to);
    const diabolo_output* out[] = {&one};
    diabolo::capi::run_any(*diabolo::capi::find_model(model), task, {in.data(), in.size(), out, 1},
                           options);
  }
};

TEST_F(OddTasks, EachInputHasRowsOfItsOwnKind) {
  const std::vector<float> values = wave_rows(kRows);
  const diabolo_rows rows = view(values);
  std::vector<float> codes(kRows * kCodeSize), distances(kRows, 7);
  ASSERT_EQ(diabolo_encode(model, &rows, codes.data(), codes.size()), DIABOLO_OK);
  const diabolo_rows code_rows = diabolo_rows_f32(codes.data(), kRows, kCodeSize);
  run(mixed_task(), {&rows, &code_rows}, distances);
  EXPECT_EQ(distances, std::vector<float>(kRows, 0));
  EXPECT_EQ(error_of([&] {
              run(mixed_task(), {&rows, &rows}, distances);
            }).code(),
            diabolo::ErrorCode::kData);
  diabolo_rows none = rows, few = code_rows;
  none.count = 0;
  few.count = 3;
  EXPECT_THAT(error_of([&] {
                run(mixed_task(), {&none, &few}, distances);
              }).what(),
              HasSubstr("codes: expected 0 rows, as many as in the other input, found 3"));
}

TEST_F(OddTasks, WithoutInputsTheOptionsSayHowManyRows) {
  constexpr uint64_t kWidth = 12;
  std::vector<float> drawn(2 * kWidth, -1), again = drawn, other = drawn;
  diabolo_row_options options{};
  options.count = 2;
  run(diabolo::drawing_task(), {}, drawn, options);
  run(diabolo::drawing_task(), {}, again, options);
  options.seed = 1;
  run(diabolo::drawing_task(), {}, other, options);
  EXPECT_EQ(std::count(drawn.begin(), drawn.end(), -1.0f), 0);
  EXPECT_EQ(drawn, again);
  EXPECT_NE(drawn, other);
  options.count = 3;
  EXPECT_THAT(error_of([&] { run(diabolo::drawing_task(), {}, drawn, options); }).what(),
              HasSubstr("drawn rows"));
}

TEST_F(OddTasks, ACountThatTheInputsContradictIsRefused) {
  const std::vector<float> values = wave_rows(kRows);
  const diabolo_rows rows = view(values);
  std::vector<float> codes(kRows * kCodeSize);
  auto options = sized<diabolo_row_options>();
  const auto run_rows = [&] {
    return diabolo_run_rows(model, DIABOLO_ENCODE, &rows, &options, codes.data(), codes.size());
  };
  options.count = kRows;
  EXPECT_EQ(run_rows(), DIABOLO_OK) << diabolo_last_error();
  options.count = kRows + 1;
  EXPECT_EQ(run_rows(), DIABOLO_USAGE);
  EXPECT_THAT(diabolo_last_error(), HasSubstr("row options.count: expected 0 or "));
}

}  // namespace
}  // namespace diabolo_test
