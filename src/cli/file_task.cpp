// The tasks of a model from file to file, each a command: a model, rows in, rows out.

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/json_output.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "jobs/encode_pipeline.h"

namespace diabolo::cli {
namespace {

struct FileTaskArguments {
  const Task* task = nullptr;
  std::string model, input, output, output_format;
  std::optional<std::string> output_dtype;
  std::optional<double> temperature;
  std::optional<int64_t> batch_rows, worst, checkpoint_seconds, count, seed;
  bool resume = false, dry_run = false;
  OutputOptions out;
  DeviceOptions device;
  DataOptions data;
  ModelOptions model_options;

  bool reads() const { return !task->inputs.empty(); }
};

PipelineOptions pipeline_options(const FileTaskArguments& arguments, const ModelFile& model,
                                 const TrainConfig& config) {
  PipelineOptions options;
  options.task = arguments.task;
  options.output = arguments.output;
  options.model_path = model_path(arguments.model);
  options.output_format = arguments.output_format;
  if (arguments.output_dtype) options.output_dtype = *dtype_from_name(*arguments.output_dtype);
  if (arguments.batch_rows) options.batch_rows = *arguments.batch_rows;
  options.on_bad_value = arguments.reads() ? bad_value(arguments.data, model) : BadValue::kError;
  options.resume = arguments.resume;
  if (arguments.checkpoint_seconds)
    options.checkpoint_seconds = static_cast<double>(*arguments.checkpoint_seconds);
  options.worst = arguments.worst.value_or(0);
  options.seed = static_cast<uint64_t>(arguments.seed.value_or(0));
  options.temperature = arguments.temperature.value_or(1);
  options.inference = inference_options(config);
  return options;
}

// What every object of these commands begins with.
nlohmann::json file_fields(const FileTaskArguments& arguments, const ModelFile& model) {
  nlohmann::json json = model_fields(arguments.model, model);
  if (arguments.reads()) json["input"] = arguments.input;
  json["output"] = arguments.output;
  return json;
}

nlohmann::json json_of(const PipelineEstimate& estimate) {
  nlohmann::json json = {{"output_row", estimate.row.text()},
                         {"weight_bytes", estimate.weight_bytes},
                         {"buffer_bytes", estimate.buffer_bytes}};
  if (estimate.rows) json["rows"] = *estimate.rows;
  if (estimate.output_bytes) json["output_bytes"] = *estimate.output_bytes;
  return json;
}

int dry_run(const FileTaskArguments& arguments, const ModelFile& model, const Dataset& input,
            const PipelineOptions& options, Backend& backend, Terminal& terminal) {
  const PipelineEstimate estimate = estimate_pipeline(backend, model, input, options);
  if (estimate.output_bytes && arguments.output != "-")
    require_free_disk(arguments.output, *estimate.output_bytes);
  if (arguments.out.json) {
    nlohmann::json json = json_of(estimate);
    if (arguments.reads()) json["input_shape"] = input.text();
    json.update(file_fields(arguments, model));
    print_json(arguments.out, terminal, std::move(json));
    return 0;
  }
  const std::string rows = estimate.rows ? cat(*estimate.rows) : "an unknown number of";
  const std::string bytes =
      estimate.output_bytes ? cat(", ", *estimate.output_bytes, " bytes") : "";
  const std::string read =
      arguments.reads() ? cat("input   ", printable(input.name()), ": ", input.text(), "\n") : "";
  print_result(cat(read, "output  ", printable(arguments.output), ": ", rows, " rows of ",
                   estimate.row.text(), bytes, "\nmemory  ", estimate.weight_bytes,
                   " bytes of weights, ", estimate.buffer_bytes, " bytes of rows under way\n"));
  return 0;
}

nlohmann::json summary(const FileTaskArguments& arguments, const ModelFile& model,
                       const PipelineResult& result) {
  nlohmann::json json = file_fields(arguments, model);
  json["rows_read"] = result.rows_read;
  json["rows_written"] = result.rows_written;
  json["rows_skipped"] = result.rows_read - result.rows_written;
  json["rows_resumed"] = result.resumed_rows;
  json["batch_rows"] = result.batch_rows;
  json["seconds"] = result.seconds;
  if (arguments.task->has_threshold && model.threshold) {
    json["threshold"] = *model.threshold;
    json["above_threshold"] = result.above_threshold;
  }
  return json;
}

void say(const FileTaskArguments& arguments, const ModelFile& model, const PipelineResult& result,
         Terminal& terminal) {
  const uint64_t new_rows = result.rows_read - std::min(result.resumed_rows, result.rows_read);
  const double rate = result.seconds > 0 ? static_cast<double>(new_rows) / result.seconds : 0;
  std::string line = cat(arguments.output == "-" ? "standard output" : arguments.output, ": ",
                         counted(result.rows_written, "row"));
  if (result.rows_written < result.rows_read)
    line += cat(", ", result.rows_read - result.rows_written, " skipped");
  if (result.resumed_rows > 0) line += cat(", ", result.resumed_rows, " of them from before");
  line += cat("  ", short_number(rate), " rows/s");
  if (arguments.task->has_threshold && model.threshold)
    line += cat("  ", result.above_threshold, " above the threshold ", *model.threshold);
  terminal.line(line);
}

// Pipes and devices are written themselves, not by way of OUT.partial.
bool becomes_file(const std::string& output) {
  std::error_code error;
  const auto status = std::filesystem::status(output, error);
  return output != "-" &&
         (!std::filesystem::exists(status) || std::filesystem::is_regular_file(status));
}

void describe_draws(Arguments& arguments, FileTaskArguments& target) {
  arguments.group("Draws");
  arguments.integer("-n,--count", target.count, 1, int64_t{1} << 40, "how many rows (1)");
  arguments.integer("--seed", target.seed, 0, INT64_MAX,
                    "of the draws; a row's depend on it and the row's number alone (0)");
  arguments.number("--temperature", target.temperature, 0, kMostTemperature,
                   "times the spread of the codes; below 1: more usual rows (1)");
}

void describe(Arguments& arguments, FileTaskArguments& target) {
  const bool codes = target.task->reads_codes();
  arguments.positional("MODEL", target.model, "a model file, or a run directory");
  if (target.reads())
    arguments.positional(
        codes ? "CODES" : "INPUT", target.input,
        cat(codes ? "codes: " : "rows: ", format_files(), "; '-' is standard input"));
  if (!target.reads()) describe_draws(arguments, target);
  arguments.group("Output");
  arguments.required_text("-o,--output", target.output, "OUT", "where to; '-' is standard output");
  arguments.flag("--resume", target.resume, "continue OUT.partial of a run that was interrupted");
  arguments.integer("--checkpoint-seconds", target.checkpoint_seconds, 0, 86400,
                    "how often the output so far is made safe for --resume (2)");
  arguments.flag("--dry-run", target.dry_run, "check the input and print sizes; write nothing");
  target.out.describe(arguments, true);
  if (target.reads()) target.data.describe(arguments);
  target.device.describe(arguments);
  arguments.integer("--batch-size", target.batch_rows, 1, 65536,
                    "rows in flight at a time; the result does not depend on it");
  target.model_options.describe(arguments);
  arguments.group("Output");
  if (target.task->gives_codes())
    arguments.optional_choice("--code-dtype", target.output_dtype, {"f32", "f16", "bf16"},
                              "type of the codes; bf16 for raw output only");
  else if (std::ranges::any_of(target.task->outputs, &TaskOutput::is_scaled))
    arguments.optional_choice("--output-dtype", target.output_dtype, {"f32", "f16", "bf16"},
                              "type of the rows; else f32, and in a raw file the training's");
  arguments.choice("--output-format", target.output_format, {"npy", "raw", "csv", "tsv"},
                   "else by the name of OUT: .npy, .csv, .tsv, .raw, .bin");
  if (target.task->names_worst)
    arguments.integer("--explain", target.worst, 1, 32,
                      "also the N features that are worst in each row; .csv only");
}

// The rows to go through the model.
std::unique_ptr<Dataset> open_input(const FileTaskArguments& arguments, const ModelFile& model) {
  if (!arguments.reads())
    return rows_to_make(static_cast<uint64_t>(arguments.count.value_or(1)),
                        TensorDesc(DType::kF32, model.row.extents()));
  return open_rows(arguments.input, arguments.data, model,
                   input_row(*arguments.task, model.row, model.network()),
                   arguments.task->reads_codes() ? RowsAre::kCodes : RowsAre::kData);
}

int run(const FileTaskArguments& arguments) {
  Terminal terminal(arguments.out);
  check_json_is_alone(arguments.out, arguments.output);
  const ModelFile model = open_model(arguments.model, arguments.model_options, terminal);
  const auto input = open_input(arguments, model);
  const TrainConfig config = inference_config(arguments.device);
  PipelineOptions options = pipeline_options(arguments, model, config);
  const auto backend = open_backend(config.device, config.threads, terminal);
  check_precision(backend->info(), config.precision);
  if (arguments.dry_run) return dry_run(arguments, model, *input, options, *backend, terminal);
  if (arguments.task->has_threshold && !model.threshold)
    terminal.warn(cat(arguments.model,
                      ": has no threshold, as its training did not come to its end: ",
                      "no row is counted as above it (train --resume)"));
  ProgressLine line(terminal);
  // Half-read streams cannot be continued, and reading one may block: a signal ends the process.
  options.progress = [&line, &input](const PipelineProgress& progress) {
    line.show(progress);
    return input->is_stream() || !stop_is_requested();
  };
  if (input->is_stream() && becomes_file(arguments.output))
    remove_on_stop(arguments.output + ".partial");
  options.log = terminal.log();
  const PipelineResult result = run_pipeline(*backend, model, *input, options);
  if (result.is_cancelled)
    throw Error(stop_code(), cat(arguments.output, ": interrupted after ",
                                 counted(result.rows_read, "row"), " (--resume continues)"));
  line.finish();
  say(arguments, model, result, terminal);
  if (arguments.out.json) print_json(arguments.out, terminal, summary(arguments, model, result));
  return 0;
}

}  // namespace

std::function<int()> describe_file_task(Arguments& arguments) {
  const auto target = std::make_shared<FileTaskArguments>();
  target->task = find_task(arguments.command());
  describe(arguments, *target);
  return [target] { return run(*target); };
}

}  // namespace diabolo::cli
