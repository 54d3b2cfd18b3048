#include "model/task.h"

#include <algorithm>

#include "base/error.h"

namespace diabolo {
namespace {

constexpr TaskOutput kCodes[] = {{.name = model_names::kCode, .what = "codes", .is_code = true}};
constexpr TaskOutput kDecodedRows[] = {
    {.name = model_names::kReconstruction, .what = "decoded rows", .is_scaled = true}};
constexpr TaskOutput kReconstruction[] = {
    {.name = model_names::kReconstruction, .what = "reconstruction", .is_scaled = true}};
constexpr TaskOutput kScores[] = {
    {.name = model_names::kScore, .what = "scores", .csv_name = "score", .may_be_infinite = true},
    {.name = model_names::kWorstIndex, .what = "worst features", .csv_name = "worst_1_feature"},
    {.name = model_names::kWorstError,
     .what = "errors of the worst features",
     .csv_name = "worst_1_error",
     .alternates = true,
     .may_be_infinite = true}};

void build_encode(ModelGraph& graph, ValueId rows, int64_t) {
  graph.mark_output(graph.encoded(rows), model_names::kCode);
}

void build_decode(ModelGraph& graph, ValueId codes, int64_t) {
  graph.mark_output(graph.decoded(codes), model_names::kReconstruction);
}

void build_reconstruct(ModelGraph& graph, ValueId rows, int64_t) {
  graph.mark_output(graph.decoded(graph.encoded(rows)), model_names::kReconstruction);
}

void build_score(ModelGraph& graph, ValueId rows, int64_t worst) {
  const auto out = graph.score(graph.encoded(rows), rows, worst);
  for (size_t i = 0; i < out.size(); ++i) graph.mark_output(out[i], kScores[i].name);
}

constexpr const Task* kTasks[] = {&kEncodeTask, &kDecodeTask, &kReconstructTask, &kScoreTask};

}  // namespace

const Task kEncodeTask = {.number = 1,
                          .name = "encode",
                          .what = "rows to codes, file to file",
                          .outputs = kCodes,
                          .build = build_encode};
const Task kDecodeTask = {.number = 2,
                          .name = "decode",
                          .what = "codes to rows, file to file",
                          .reads_codes = true,
                          .outputs = kDecodedRows,
                          .build = build_decode};
const Task kReconstructTask = {.number = 3,
                               .name = "reconstruct",
                               .what = "rows to rows through the code, file to file",
                               .outputs = kReconstruction,
                               .build = build_reconstruct};
const Task kScoreTask = {.number = 4,
                         .name = "score",
                         .what = "reconstruction error of each row, file to file",
                         .has_threshold = true,
                         .names_worst = true,
                         .outputs = kScores,
                         .build = build_score};

std::span<const Task* const> tasks() {
  return kTasks;
}

const Task* find_task(std::string_view name) {
  const auto* found = std::ranges::find(kTasks, name, [](const Task* task) { return task->name; });
  return found == std::end(kTasks) ? nullptr : *found;
}

const Task* find_task(int32_t number) {
  const auto* found =
      std::ranges::find(kTasks, number, [](const Task* task) { return task->number; });
  return found == std::end(kTasks) ? nullptr : *found;
}

int64_t input_width(const Task& task, const Network& network) {
  return task.reads_codes ? network.code_size : network.features;
}

Graph task_graph(const Task& task, const ModelConfig& config, const Network& network,
                 const TaskGraphOptions& options) {
  ModelGraph graph(config, network, {options.rows, options.precision, options.source});
  task.build(graph, task.reads_codes ? graph.input_codes() : graph.input_rows(), options.worst);
  return graph.take();
}

std::vector<TaskColumn> task_columns(const Task& task, const ModelConfig& config,
                                     const Network& network, const TaskGraphOptions& options) {
  TaskGraphOptions one = options;
  one.rows = 1;
  const Graph graph = task_graph(task, config, network, one);
  std::vector<TaskColumn> columns;
  for (const TaskOutput& output : task.outputs) {
    const ValueId found = graph.find(output.name, Role::kOutput);
    if (found == kNoValue) continue;
    const TensorDesc& desc = graph.value(found).desc;
    columns.push_back({&output, TensorDesc(desc.dtype(), desc.extents().subspan(1))});
  }
  DIABOLO_CHECK(!columns.empty(), task.name, " has no output");
  return columns;
}

}  // namespace diabolo
