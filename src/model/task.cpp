#include "model/task.h"

#include <algorithm>

namespace diabolo {
namespace {

constexpr TaskOutput kCodes[] = {{model_names::kCode, "codes", RowWidth::kCode}};
constexpr TaskOutput kDecodedRows[] = {{.name = model_names::kReconstruction,
                                        .what = "decoded rows",
                                        .width = RowWidth::kFeatures,
                                        .is_scaled = true}};
constexpr TaskOutput kReconstruction[] = {{.name = model_names::kReconstruction,
                                           .what = "reconstruction",
                                           .width = RowWidth::kFeatures,
                                           .is_scaled = true}};
constexpr TaskOutput kScores[] = {{.name = model_names::kScore,
                                   .what = "scores",
                                   .width = RowWidth::kOne,
                                   .may_be_infinite = true},
                                  {.name = model_names::kWorstIndex,
                                   .what = "worst features",
                                   .width = RowWidth::kWorst,
                                   .dtype = DType::kU32},
                                  {.name = model_names::kWorstError,
                                   .what = "errors of the worst features",
                                   .width = RowWidth::kWorst,
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

std::span<const TaskOutput> outputs_of(const Task& task, int64_t worst) {
  if (worst > 0) return task.outputs;
  const auto last = std::ranges::find(task.outputs, RowWidth::kWorst, &TaskOutput::width);
  return task.outputs.first(static_cast<size_t>(last - task.outputs.begin()));
}

int64_t input_width(const Task& task, const Network& network) {
  return task.reads_codes ? network.code_size : network.features;
}

int64_t width_of(const TaskOutput& output, const Network& network, int64_t worst) {
  switch (output.width) {
    case RowWidth::kFeatures:
      return network.features;
    case RowWidth::kCode:
      return network.code_size;
    case RowWidth::kOne:
      return 1;
    case RowWidth::kWorst:
      return worst;
  }
  throw InternalError("width of an output");
}

Graph task_graph(const Task& task, const ModelConfig& config, const Network& network,
                 const TaskGraphOptions& options) {
  ModelGraph graph(config, network, {options.rows, options.precision, options.source});
  task.build(graph, task.reads_codes ? graph.input_codes() : graph.input_rows(), options.worst);
  return graph.take();
}

}  // namespace diabolo
