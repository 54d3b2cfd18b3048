#include "model/task.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"

namespace diabolo {
namespace {

constexpr TaskInput kRowsInput[] = {{}};
constexpr TaskInput kCodesInput[] = {{.is_codes = true}};

constexpr TaskOutput kCodes[] = {{.name = model_names::kCode, .what = "codes", .is_code = true}};
constexpr TaskOutput kDecodedRows[] = {
    {.name = model_names::kReconstruction, .what = "decoded rows", .is_scaled = true}};
constexpr TaskOutput kReconstruction[] = {
    {.name = model_names::kReconstruction, .what = "reconstruction", .is_scaled = true}};
constexpr TaskOutput kGenerated[] = {
    {.name = model_names::kReconstruction, .what = "generated rows", .is_scaled = true}};
constexpr TaskOutput kScores[] = {
    {.name = model_names::kScore, .what = "scores", .csv_name = "score", .may_be_infinite = true},
    {.name = model_names::kWorstIndex, .what = "worst features", .csv_name = "worst_1_feature"},
    {.name = model_names::kWorstError,
     .what = "errors of the worst features",
     .csv_name = "worst_1_error",
     .alternates = true,
     .may_be_infinite = true}};

void build_encode(ModelGraph& graph, std::span<const ValueId> in, int64_t) {
  graph.mark_output(graph.encoded(in[0]), model_names::kCode);
}

void build_decode(ModelGraph& graph, std::span<const ValueId> in, int64_t) {
  graph.mark_output(graph.decoded(in[0]), model_names::kReconstruction);
}

void build_reconstruct(ModelGraph& graph, std::span<const ValueId> in, int64_t) {
  graph.mark_output(graph.decoded(graph.encoded(in[0])), model_names::kReconstruction);
}

void build_score(ModelGraph& graph, std::span<const ValueId> in, int64_t worst) {
  const auto out = graph.score(graph.encoded(in[0]), in[0], worst);
  for (size_t i = 0; i < out.size(); ++i) graph.mark_output(out[i], kScores[i].name);
}

void build_generate(ModelGraph& graph, std::span<const ValueId>, int64_t) {
  graph.mark_output(graph.decoded(graph.drawn_code()), model_names::kReconstruction);
}

constexpr const Task* kTasks[] = {&kEncodeTask, &kDecodeTask, &kReconstructTask, &kScoreTask,
                                  &kGenerateTask};

}  // namespace

const Task kEncodeTask = {.number = 1,
                          .name = "encode",
                          .what = "rows to codes, file to file",
                          .inputs = kRowsInput,
                          .outputs = kCodes,
                          .build = build_encode};
const Task kDecodeTask = {.number = 2,
                          .name = "decode",
                          .what = "codes to rows, file to file",
                          .inputs = kCodesInput,
                          .outputs = kDecodedRows,
                          .build = build_decode};
const Task kReconstructTask = {.number = 3,
                               .name = "reconstruct",
                               .what = "rows to rows through the code, file to file",
                               .inputs = kRowsInput,
                               .outputs = kReconstruction,
                               .build = build_reconstruct};
const Task kScoreTask = {.number = 4,
                         .name = "score",
                         .what = "reconstruction error of each row, file to file",
                         .has_threshold = true,
                         .names_worst = true,
                         .inputs = kRowsInput,
                         .outputs = kScores,
                         .build = build_score};
const Task kGenerateTask = {.number = 5,
                            .name = "generate",
                            .what = "new rows from codes that are drawn, to a file",
                            .outputs = kGenerated,
                            .build = build_generate};

std::span<const Task* const> tasks() {
  return kTasks;
}

// The digits in the name of the first count up.
std::string TaskOutput::csv_name_of(int64_t i) const {
  const std::string_view first = csv_name;
  const size_t begin = first.find_first_of("0123456789");
  if (begin == first.npos) return std::string(first);
  const size_t end = std::min(first.find_first_not_of("0123456789", begin), first.size());
  int64_t number = 0;
  std::from_chars(first.data() + begin, first.data() + end, number);
  return cat(first.substr(0, begin), number + i, first.substr(end));
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

TensorDesc input_row(const TaskInput& input, const TensorDesc& data, const Network& network) {
  if (input.is_codes) return network.code_row.desc;
  if (input.is_scaled()) return data;
  if (input.role == FieldRole::kMask) return TensorDesc(input.dtype, data.extents());
  return TensorDesc(input.dtype, {});
}

namespace {

ValueId add_input(ModelGraph& graph, const TaskInput& input) {
  if (input.is_codes) return graph.input_codes(input.name);
  if (input.is_scaled()) return graph.input_rows(input.name);
  return input.role == FieldRole::kMask
             ? graph.input_numbers(input.name, input.dtype, {graph.features()})
             : graph.input_numbers(input.name, input.dtype, {});
}

}  // namespace

Graph task_graph(const Task& task, const ModelConfig& config, const Network& network,
                 const TaskGraphOptions& options) {
  ModelGraph graph(config, network, {options.rows, options.precision, options.source});
  std::vector<ValueId> in;
  for (const TaskInput& input : task.inputs) in.push_back(add_input(graph, input));
  task.build(graph, in, options.worst);
  return graph.take();
}

TaskShape task_shape(const Task& task, const ModelConfig& config, const Network& network,
                     const TaskGraphOptions& options) {
  TaskGraphOptions one = options;
  one.rows = 1;
  const Graph graph = task_graph(task, config, network, one);
  const auto row_of = [&](ValueId id) {
    const TensorDesc& desc = graph.value(id).desc;
    return TensorDesc(desc.dtype(), desc.extents().subspan(1));
  };
  TaskShape out;
  for (const TaskInput& input : task.inputs)
    out.inputs.push_back(row_of(graph.find(input.name, Role::kInput)));
  out.draws = graph.find(model_names::kDraws, Role::kInput) != kNoValue;
  out.has_temperature = graph.find(model_names::kTemperature, Role::kInput) != kNoValue;
  for (const TaskOutput& output : task.outputs)
    if (const ValueId id = graph.find(output.name, Role::kOutput); id != kNoValue)
      out.columns.push_back({&output, row_of(id)});
  DIABOLO_CHECK(!out.columns.empty(), task.name, " has no output");
  return out;
}

}  // namespace diabolo
