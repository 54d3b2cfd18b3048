// Tables: columns with roles, read in blocks, labels as they stand, and a label in a graph.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <map>
#include <numeric>

#include "base/expect_error.h"
#include "data/block_reader.h"
#include "data/labels.h"
#include "data/make_files.h"
#include "graph/executor.h"
#include "ops/gather.h"
#include "ops/training.h"

namespace diabolo {
namespace {

using namespace diabolo::testing;  // NOLINT: the helpers of these tests
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint64_t kRows = 7;

const TensorDesc kNumber(DType::kF32, std::initializer_list<int64_t>{});

// x [7,2], label u32, id text, weight f32.
class TableTest : public ::testing::Test {
 protected:
  TableTest() {
    std::iota(x_.begin(), x_.end(), 0.0f);
    for (uint64_t i = 0; i < kRows; ++i) ids_.push_back("row " + std::to_string(i));
  }

  std::unique_ptr<Dataset> table() const {
    return memory_table("table", {{{"x", {DType::kF32, {2}}}, bytes(x_), {}},
                                  {{"y", {DType::kU32, {}}, FieldRole::kLabel}, bytes(labels_), {}},
                                  {{"name", kNumber, FieldRole::kId, true}, {}, ids_},
                                  {{"w", kNumber, FieldRole::kWeight}, bytes(weights_), {}}});
  }
  template <class T>
  static std::span<const std::byte> bytes(const std::vector<T>& values) {
    return std::as_bytes(std::span(values));
  }

  std::vector<float> x_ = std::vector<float>(2 * kRows);
  std::vector<uint32_t> labels_ = {3, 0, 4294967295u, 2, 1, 16777217, 5};
  std::vector<float> weights_ = std::vector<float>(kRows, 0.5f);
  std::vector<std::string> ids_;
};

TEST_F(TableTest, ColumnsAreFoundByRole) {
  const auto data = table();
  EXPECT_EQ(data->x().name, "x");
  EXPECT_EQ(data->find(FieldRole::kX), 0u);
  EXPECT_EQ(data->find(FieldRole::kLabel), 1u);
  EXPECT_EQ(data->fields()[*data->find(FieldRole::kId)].name, "name");
  EXPECT_EQ(data->find(FieldRole::kWeight), 3u);
  EXPECT_EQ(data->find(FieldRole::kTarget), std::nullopt);
  EXPECT_STREQ(name(FieldRole::kMask), "mask");
}

TEST_F(TableTest, AReaderGivesBlocksOfTheWantedColumns) {
  const auto data = table();
  for (uint64_t size = 1; size <= kRows + 1; ++size) {
    BlockReader reader(*data, size, {FieldRole::kX, FieldRole::kId, FieldRole::kLabel}, 1);
    RowBlock block;
    std::string x, labels;
    std::vector<std::string> ids;
    uint64_t first = 1;
    while (reader.next(block)) {
      EXPECT_EQ(block.first, first);
      first += block.rows;
      const auto append = [](std::string& to, std::span<const std::byte> from) {
        to.append(reinterpret_cast<const char*>(from.data()), from.size());
      };
      append(x, block.x());
      append(labels, block.columns[1].bytes);
      ids.insert(ids.end(), block.columns[2].texts.begin(), block.columns[2].texts.end());
      EXPECT_TRUE(block.columns[3].bytes.empty());
    }
    EXPECT_EQ(first, kRows);
    EXPECT_EQ(block.rows, 0u);
    EXPECT_FALSE(reader.next(block));
    EXPECT_EQ(x, bytes_of(x_).substr(2 * sizeof(float)));
    EXPECT_EQ(labels, bytes_of(labels_).substr(sizeof(uint32_t)));
    EXPECT_EQ(ids, std::vector<std::string>(ids_.begin() + 1, ids_.end()));
  }
}

TEST_F(TableTest, LabelsKeepTheirValues) {
  const std::vector<int64_t> numbers = {0, -1, (int64_t{1} << 53) + 1, INT64_MIN, 7, 0, 2};
  const auto file = memory_dataset("labels", TensorDesc(DType::kI64, {}), bytes(numbers));
  const Labels labels = read_labels(*file, *table());
  EXPECT_EQ(labels.dtype, DType::kI64);
  EXPECT_EQ(std::memcmp(labels.values.data(), numbers.data(), labels.values.size()), 0);
  EXPECT_THAT(anomalies(labels), ElementsAre(0, 1, 1, 1, 1, 0, 1));
}

// f32 holds neither: such labels were taken for ordinary, or for not finite.
TEST_F(TableTest, LabelsBeyondF32AreNumbersToo) {
  const std::vector<double> numbers = {0, 1e-300, 1e300, -0.0, 1, 0, 0};
  const auto file = memory_dataset("labels", TensorDesc(DType::kF64, {}), bytes(numbers));
  EXPECT_THAT(anomalies(read_labels(*file, *table())), ElementsAre(0, 1, 1, 0, 1, 0, 0));
}

TEST_F(TableTest, ALabelThatIsNotFiniteIsNamed) {
  std::vector<float> numbers(kRows, 1.0f);
  numbers[4] = std::numeric_limits<float>::infinity();
  const auto file = memory_dataset("labels", kNumber, bytes(numbers));
  const Error error = error_of([&] { read_labels(*file, *table()); });
  EXPECT_EQ(error.code(), ErrorCode::kData);
  EXPECT_THAT(error.what(), HasSubstr("labels: row 4"));
}

// Inputs of a graph are bound by name; a column of integers is one as it lies in its block.
TEST_F(TableTest, ALabelIsAnInputOfAGraph) {
  labels_ = {3, 0, 6, 2, 1, 1, 5};
  const auto data = table();
  Graph graph;
  const ValueId classes = graph.add_input("classes", {DType::kF32, {kRows, 2}});
  const ValueId label = graph.add_input("label", {DType::kU32, {kRows}});
  const ValueId state = graph.add_state(store_names::kStepState, step_state_desc());
  const GatherAttrs attrs{static_cast<int64_t>(kRows), true, DType::kF32, false};
  graph.mark_output(graph.add(kGather, attrs, {classes, label, state}, "chosen")[0], "chosen");
  const auto backend = create_host_backend(1);
  const auto stream = backend->create_stream();
  const std::vector<ParameterSpec> none = {{"w", {DType::kF32, {1}}}};
  const ParameterStore store(*backend, none, step_states(none, DType::kF32, {}));
  const Plan plan = Plan::compile(graph, backend->info(), {});
  Arena arena(*backend);
  arena.reserve(plan.arena_bytes());
  RowBlock block;
  ASSERT_TRUE(BlockReader(*data, kRows, {FieldRole::kLabel}).next(block));
  std::map<std::string, void*> inputs = {{"classes", x_.data()}};
  for (size_t i = 0; i < block.columns.size(); ++i)
    if (!block.columns[i].bytes.empty())
      inputs[name(data->fields()[i].role)] = block.columns[i].bytes.data();
  Executor executor(plan, *backend, store, arena, *stream, inputs);
  executor.run(Capture::kOff);
  stream->synchronize();
  const float* chosen = executor.output("chosen").as<float>();
  for (uint64_t row = 0; row < kRows; ++row)
    EXPECT_EQ(chosen[2 * row], static_cast<float>(2 * labels_[row])) << row;
}

}  // namespace
}  // namespace diabolo
