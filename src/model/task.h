// What a model is used for. The one list of tasks: the commands that go from file to file, the C
// ABI's verbs, `plan --mode` and the calls on rows in memory all come from it. A new task is an
// entry in task.cpp with the function that builds its graph, and a line below.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "model/model_graph.h"

namespace diabolo {

enum class RowWidth : uint8_t { kFeatures, kCode, kOne, kWorst };

// One result of a task, so many numbers per row.
struct TaskOutput {
  const char* name;  // of the graph's output
  const char* what;  // for messages: "codes"
  RowWidth width;
  DType dtype = DType::kF32;     // as the caller gets it: f32 (bf16 plans too) or u32
  bool is_scaled = false;        // computed in scaled units: goes back to those of the data
  bool may_be_infinite = false;  // else a number that is not finite is a bad result
};

struct Task {
  int32_t number = 0;          // diabolo_verb
  const char* name;            // "encode": of the command, in plans and in JSON
  const char* what;            // one line of help
  bool reads_codes = false;    // else rows of data
  bool has_threshold = false;  // the first output is compared with the model's threshold
  std::span<const TaskOutput> outputs = {};  // those of width kWorst are the last
  // From the input, scaled, to the outputs, which it marks; worst: features to name per row.
  void (*build)(ModelGraph& graph, ValueId input, int64_t worst) = nullptr;
};

inline constexpr size_t kMostTaskOutputs = 3;

extern const Task kEncodeTask, kDecodeTask, kReconstructTask, kScoreTask;
std::span<const Task* const> tasks();
const Task* find_task(std::string_view name);  // or null
const Task* find_task(int32_t number);         // or null

// Those that there are: without those of width kWorst where no feature is named.
std::span<const TaskOutput> outputs_of(const Task& task, int64_t worst);
// Numbers per row.
int64_t input_width(const Task& task, const Network& network);
int64_t width_of(const TaskOutput& output, const Network& network, int64_t worst);

struct TaskGraphOptions {
  int64_t rows = 0;  // of a batch
  Precision precision = Precision::kF32;
  Source source = Source::kScaled;
  int64_t worst = 0;
};
Graph task_graph(const Task& task, const ModelConfig& config, const Network& network,
                 const TaskGraphOptions& options);

}  // namespace diabolo
