// What a model is used for. The one list of tasks: the commands that go from file to file, the C
// ABI's verbs, `plan --mode` and the calls on rows in memory all come from it. A new task is an
// entry in task.cpp with the function that builds its graph, and a line below.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/dataset.h"
#include "model/model_graph.h"

namespace diabolo {

// One result of a task. Its type and how many numbers a row has are the graph's.
struct TaskOutput {
  const char* name;              // of the graph's output
  const char* what;              // for messages: "codes"
  const char* csv_name = "x0";   // of a row's first number: the digits count up
  bool alternates = false;       // in CSV, number by number, with the output before it
  bool is_code = false;          // floats are stored as the configuration says of codes
  bool is_scaled = false;        // rows of data in scaled units: they go back to those of the data
  bool may_be_infinite = false;  // else a float that is not finite is a bad result

  // Of a row's i-th number.
  std::string csv_name_of(int64_t i) const;
};

// What a task reads, so many numbers for each row. Of a table it is the field of its role.
struct TaskInput {
  const char* name = model_names::kInput;  // of the graph's input
  // kX and kTarget: rows of data, scaled, or codes. Else a number a row of `dtype`, and of a mask
  // one for each feature, as they are.
  FieldRole role = FieldRole::kX;
  bool is_codes = false;
  DType dtype = DType::kF32;  // integers stay integers; what is not whole is refused then

  bool is_scaled() const {
    return !is_codes && (role == FieldRole::kX || role == FieldRole::kTarget);
  }
};
// One row of it as the model takes it, for those who have to know what to expect; data: of the
// training data.
TensorDesc input_row(const TaskInput& input, const TensorDesc& data, const Network& network);

struct Task {
  int32_t number = 0;          // diabolo_verb
  const char* name;            // "encode": of the command, in plans and in JSON
  const char* what;            // one line of help
  bool has_threshold = false;  // the first output is compared with the model's threshold
  bool names_worst = false;    // the features that are worst, as many as the caller says
  std::span<const TaskInput> inputs = {};    // none: rows are drawn
  std::span<const TaskOutput> outputs = {};  // the graph may lack those that nobody asked for
  // From the inputs to the outputs, which it marks; worst: features to name per row.
  void (*build)(ModelGraph& graph, std::span<const ValueId> in, int64_t worst) = nullptr;

  bool gives_codes() const { return std::ranges::any_of(outputs, &TaskOutput::is_code); }
  bool reads_codes() const { return !inputs.empty() && inputs.front().is_codes; }
};

extern const Task kEncodeTask, kDecodeTask, kReconstructTask, kScoreTask, kGenerateTask;
std::span<const Task* const> tasks();
const Task* find_task(std::string_view name);  // or null
const Task* find_task(int32_t number);         // or null

struct TaskGraphOptions {
  int64_t rows = 0;  // of a batch
  Precision precision = Precision::kF32;
  Source source = Source::kScaled;
  int64_t worst = 0;
};
Graph task_graph(const Task& task, const ModelConfig& config, const Network& network,
                 const TaskGraphOptions& options);

// An output that a graph of the task has: a column of its results.
struct TaskColumn {
  const TaskOutput* output = nullptr;
  TensorDesc row;  // of one row, as the plan has it

  uint64_t width() const { return static_cast<uint64_t>(row.elems()); }
  // As callers on the host get it: floats of any plan are f32.
  DType dtype() const { return is_float(row.dtype()) ? DType::kF32 : row.dtype(); }
  uint64_t row_bytes() const { return width() * size_bytes(dtype()); }
};
// What goes through a graph of the task, row by row.
struct TaskShape {
  std::vector<TensorDesc> inputs;   // one row each, as the plan reads it
  bool draws = false;               // and it has the input kDraws
  bool has_temperature = false;     // and kTemperature
  std::vector<TaskColumn> columns;  // in the order of task.outputs
};
TaskShape task_shape(const Task& task, const ModelConfig& config, const Network& network,
                     const TaskGraphOptions& options);

}  // namespace diabolo
