// File to file: rows through a model in bounded memory, whatever the file's size. Reading,
// computing and writing overlap; rows come out in the order they went in.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "backend/backend.h"
#include "base/log.h"
#include "data/dataset.h"
#include "infer/inference.h"
#include "model/model_file.h"

namespace diabolo {

struct PipelineProgress {
  uint64_t rows = 0;                   // read so far
  std::optional<uint64_t> total_rows;  // nothing for streams
  double rows_per_s = 0;
};

struct PipelineOptions {
  const Task* task = &kEncodeTask;
  std::string output;           // path, "-": standard output
  std::string model_path = {};  // where the model lies, which no output replaces; empty: nowhere
  std::string output_format;    // "npy", "raw", "csv", "tsv"; empty: by name (row_format)
  // f32, f16, bf16 (bf16: raw only); nothing: as the model has it (output_dtype, pipeline_plan.h).
  std::optional<DType> output_dtype = {};
  int64_t batch_rows = 0;  // per slot of the ring; 0: what handing over is cheap for
  BadValue on_bad_value = BadValue::kError;
  bool resume = false;  // continue OUT.partial
  int64_t worst = 0;    // of a task that names features: how many per row; csv only
  uint64_t seed = 0;    // of what a task draws
  double temperature = 1;
  InferenceOptions inference;
  double checkpoint_seconds = 2;  // how often the output is made sure of for a resumption
  std::function<bool(const PipelineProgress&)> progress;  // false: stop, leaving what can continue
  Log log;
  FileSystem* fs = nullptr;  // null: the real one
};

struct PipelineResult {
  uint64_t rows_read = 0, rows_written = 0;
  bool is_cancelled = false;
  double seconds = 0;
  uint64_t batch_rows = 0;       // smaller than asked for where memory was short
  uint64_t above_threshold = 0;  // of scores: rows written over the model's threshold
  uint64_t resumed_rows = 0;
};

// One row of a task's first input, for files that do not say. Throws Error{kUsage} for a task that
// does not read one table: without inputs (then the rows are rows_to_make), or with several of rows
// or codes.
TensorDesc input_row(const Task& task, const TensorDesc& row, const Network& network);

// Throws Error: kData for bad input and shapes that do not fit the model, kResource for memory and
// disk, kUsage for an output that would replace what is read or what somebody else made.
PipelineResult run_pipeline(Backend& backend, const ModelFile& model, const Dataset& input,
                            const PipelineOptions& options);

// Rows, shapes and bytes that run_pipeline would write and hold in memory, for --dry-run.
struct PipelineEstimate {
  std::optional<uint64_t> rows;
  TensorDesc row;  // of the output
  std::optional<uint64_t> output_bytes;
  uint64_t weight_bytes = 0;  // of the model
  // Of rows and results under way and of the lanes that compute them, whatever the file's size.
  uint64_t buffer_bytes = 0;
};
PipelineEstimate estimate_pipeline(Backend& backend, const ModelFile& model, const Dataset& input,
                                   const PipelineOptions& options);

}  // namespace diabolo
