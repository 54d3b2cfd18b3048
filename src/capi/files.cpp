// diabolo_run_file.
#include <array>
#include <functional>
#include <memory>
#include <optional>

#include "capi/arguments.h"
#include "capi/handles.h"
#include "capi/input_file.h"
#include "capi/model_texts.h"
#include "capi/status.h"
#include "jobs/encode_pipeline.h"
#include "jobs/output_check.h"

namespace diabolo::capi {

namespace {

std::function<bool(const PipelineProgress&)> progress_of(const diabolo_file_options& options) {
  if (!options.progress) return {};
  return [&options](const PipelineProgress& now) {
    const diabolo_file_progress progress = {sizeof progress, now.rows, now.total_rows.value_or(0),
                                            now.rows_per_s};
    const CallerEnvironment environment;
    return options.progress(&progress, options.progress_user) == 0;
  };
}

PipelineOptions pipeline_options(const Model& model, const Task& task,
                                 const diabolo_file_options& options) {
  PipelineOptions out;
  out.task = &task;
  if (options.output_format) out.output_format = options.output_format;
  if (options.output_dtype)
    out.output_dtype = dtype_of("file options.output_dtype", options.output_dtype);
  if (options.batch_rows > 0) {
    constexpr uint64_t kMostRows = uint64_t{1} << 20;
    if (options.batch_rows > kMostRows)
      throw Error(ErrorCode::kUsage, cat("file options.batch_rows: expected at most ", kMostRows,
                                         ", found ", options.batch_rows));
    out.batch_rows = static_cast<int64_t>(options.batch_rows);
  }
  if (options.worst > DIABOLO_MAX_WORST)
    throw Error(ErrorCode::kUsage, cat("file options.worst: expected at most ", DIABOLO_MAX_WORST,
                                       ", found ", options.worst));
  out.worst = static_cast<int64_t>(options.worst);
  if (!task.inputs.empty())
    out.on_bad_value = bad_value_of("file options", options.on_bad_value, model.file);
  else if (options.on_bad_value != 0 && options.on_bad_value != DIABOLO_BAD_VALUE_ERROR)
    throw Error(ErrorCode::kUsage, "file options.on_bad_value: no rows are read; leave it out");
  out.seed = options.seed;
  if (options.temperature != 0) out.temperature = options.temperature;
  out.resume = options.resume != 0;
  out.inference.precision = model.context->precision;
  out.inference.fast_policy = model.context->fast_policy;
  out.progress = progress_of(options);
  out.log = model.context->log;
  return out;
}

// The model that counts the scores above a threshold; its file would have another hash, so that
// rows counted by another threshold are not gone on from.
ModelFile counting_model(const Model& model, const Task& task, double threshold) {
  ModelFile out = model.file;  // shares the weights
  if (threshold == 0) return out;
  if (!task.has_threshold)
    throw Error(ErrorCode::kUsage, "file options.threshold: only scores have a threshold");
  choose_threshold("file options.threshold", threshold, out);
  return out;
}

// The rows that go through the model.
std::unique_ptr<Dataset> open_rows(const char* input, const diabolo_file_options& options,
                                   const Task& task, const Model& model) {
  if (!task.inputs.empty()) {
    if (options.count != 0)
      throw Error(ErrorCode::kUsage, cat("file options.count: ", task.name,
                                         " has as many rows as its input: expected 0"));
    return open_input("input", input, given_input("file options", options), model.file,
                      input_row(task, model.file.row, model.inference.network()),
                      task.reads_codes() ? RowsAre::kCodes : RowsAre::kData);
  }
  if (input)
    throw Error(ErrorCode::kUsage, cat("input: ", task.name, " reads none: expected null"));
  if (options.count == 0)
    throw Error(ErrorCode::kUsage, "file options.count: expected how many rows, found 0");
  return rows_to_make(options.count, TensorDesc(DType::kF32, model.file.row.extents()));
}

diabolo_file_result describe(const PipelineResult& result) {
  diabolo_file_result out{};
  out.rows_read = result.rows_read;
  out.rows_written = result.rows_written;
  out.resumed_rows = result.resumed_rows;
  out.above_threshold = result.above_threshold;
  out.seconds = result.seconds;
  return out;
}

}  // namespace

}  // namespace diabolo::capi

using namespace diabolo::capi;

diabolo_status diabolo_run_file(const diabolo_model* model, diabolo_verb verb, const char* input,
                                const char* output, const diabolo_file_options* options,
                                diabolo_file_result* result) {
  return guarded(__func__, [&] {
    const auto found = find_model(model);
    check_result("file result", result);
    const diabolo_file_options given = options_or_defaults("file options", options);
    const diabolo::Task& task = task_of(verb);
    diabolo::PipelineOptions pipeline = pipeline_options(*found, task, given);
    pipeline.output = required_path("output", output);
    const diabolo::ModelFile counting = counting_model(*found, task, given.threshold);
    const auto data = open_rows(input, given, task, *found);
    for (const std::string& place : found->places())
      diabolo::require_output_is_free(pipeline.output, input ? data->name() : "", place,
                                      diabolo::real_file_system());
    const PipeSignalHeld no_signal;
    const auto done = diabolo::run_pipeline(*found->context->backend, counting, *data, pipeline);
    give_result("file result", describe(done), result);
    if (done.is_cancelled)
      throw diabolo::Error(diabolo::ErrorCode::kInterrupted,
                           diabolo::cat(pipeline.output, ": stopped by the callback after ",
                                        done.rows_read, " rows; resume continues"));
  });
}
