#include "jobs/pipeline_plan.h"

#include <algorithm>
#include <bit>

#include "base/hash.h"
#include "data/row_fit.h"
#include "jobs/open.h"
#include "jobs/output_check.h"

namespace diabolo {

namespace {

constexpr uint64_t kPiecesOfBlock = 4;
constexpr uint64_t kBlockBytes = uint64_t{16} << 20;  // of input; bounds memory for wide rows
// Handing a block over takes tens of microseconds, and at its end the model's threads wait for the
// last of them: a block should compute for longer. One that is read whole before it is computed
// should stay in the cache that the threads share, too.
constexpr uint64_t kUsualRows = 4096;
constexpr uint64_t kUsualBytes = uint64_t{1} << 20;
constexpr uint64_t kUsualBytesInParts = uint64_t{4} << 20;
constexpr uint64_t kIdBytes = 64;  // of a usual one with what holds it

void check_input(const ModelFile& model, const Dataset& input, const PipelineOptions& options) {
  if (options.worst > 0 && !options.task->names_worst)
    throw Error(ErrorCode::kUsage, cat("worst features: ", options.task->name, " names none"));
  if (options.worst > model.features())
    throw Error(ErrorCode::kUsage, cat("worst features: expected at most ", model.features(),
                                       ", which a row has, found ", options.worst));
  const Network network = model.network();
  check_temperature(*options.task, task_shape(*options.task, model.config.model, network, {}),
                    options.temperature);
  if (options.task->inputs.empty()) return;
  require_rows_fit(input_row(*options.task, model.row, network), input,
                   options.task->reads_codes() ? " (codes)" : "");
  input_fields(*options.task, input, model.row, network);
}

// What tells one model from another: the hash of its file, or of the file that it would be in.
std::string model_identity(const ModelFile& model) {
  return model.hash.empty() ? model_file_hash(model) : model.hash;
}

}  // namespace

TensorDesc input_row(const Task& task, const TensorDesc& row, const Network& network) {
  const auto is_x = [](const TaskInput& input) { return input.role == FieldRole::kX; };
  const auto count = std::ranges::count_if(task.inputs, is_x);
  if (count != 1 || !is_x(task.inputs.front()))
    throw Error(ErrorCode::kUsage, cat(task.name, ": expected a task with one input, found ", count,
                                       " (diabolo_run takes any number)"));
  return input_row(task.inputs.front(), row, network);
}

std::vector<size_t> input_fields(const Task& task, const Dataset& input, const TensorDesc& row,
                                 const Network& network) {
  std::vector<size_t> fields;
  for (const TaskInput& each : task.inputs) {
    const auto field = input.find(each.role);
    if (!field)
      throw Error(ErrorCode::kUsage,
                  cat(input.name(), ": ", task.name, " reads the ", name(each.role),
                      " of each row, of which it has none",
                      each.role == FieldRole::kLabel ? "; --label-column names its column" : ""));
    const Field& found = input.fields()[*field];
    const int64_t width = input_row(each, row, network).elems();
    if (found.is_text || found.row.elems() != width)
      throw Error(ErrorCode::kData,
                  cat(input.name(), ": ", found.name, ": expected ", width,
                      " numbers a row, as the ", name(each.role), " of ", task.name, ", found ",
                      found.is_text ? "text" : found.row.text()));
    fields.push_back(*field);
  }
  return fields;
}

namespace {

RowFormat format_of(const PipelineOptions& options) {
  return row_format(options.output, options.output_format);
}

bool gives_rows(const Task& task) {
  return std::ranges::any_of(task.outputs, &TaskOutput::is_scaled);
}

// What a raw file of the task's results is taken for by the commands that read it.
DType raw_dtype(const ModelFile& model, const Task& task) {
  if (task.gives_codes()) return model.config.output.code_dtype;
  return gives_rows(task) ? model.row.dtype() : DType::kF32;
}

}  // namespace

DType output_dtype(const ModelFile& model, const PipelineOptions& options) {
  if (options.output_dtype) return *options.output_dtype;
  const RowFormat format = format_of(options);
  if (options.task->gives_codes() && !is_text(format)) return model.config.output.code_dtype;
  if (format != RowFormat::kRaw) return DType::kF32;
  const DType raw = raw_dtype(model, *options.task);
  if (!is_float(raw))
    throw Error(ErrorCode::kUsage,
                cat(options.output, ": the model's rows are ", name(raw),
                    " and those that it gives are not whole, which a raw file does not say; write "
                    ".npy or .csv, or say --output-dtype f32, and --dtype f32 where it is read"));
  return raw;
}

void require_pipeline(const ModelFile& model, const Dataset& input,
                      const PipelineOptions& options) {
  check_input(model, input, options);
  const bool is_read = !options.task->inputs.empty();
  require_output_is_free(options.output, is_read ? input.name() : "", options.model_path,
                         options.fs ? *options.fs : real_file_system());
}

std::vector<TaskColumn> result_columns(const ModelFile& model, const PipelineOptions& options) {
  return task_shape(*options.task, model.config.model, model.network(), {.worst = options.worst})
      .columns;
}

namespace {

// Rows of data have the shape that the training data had. Floats are of the type that was asked
// for, but where there is one a row, as a score, nothing is saved by halving it.
OutputColumn output_column(const TaskColumn& column, const ModelFile& model,
                           const PipelineOptions& options) {
  const DType wanted = output_dtype(model, options);
  const bool is_asked = options.output_dtype.has_value();
  if (is_asked && wanted != DType::kF32 && wanted != DType::kF16 && wanted != DType::kBf16)
    throw Error(ErrorCode::kUsage,
                cat("output type: expected f32, f16 or bf16, found ", name(wanted)));
  const bool is_float = column.dtype() == DType::kF32;
  if (!is_float && is_asked && wanted != DType::kF32 && column.output->is_code)
    throw Error(ErrorCode::kUsage,
                cat("output type: ", column.output->what, " are ", name(column.dtype()), ", not ",
                    name(wanted), "; leave the type out"));
  return {column.output,
          TensorDesc(is_float && column.row.rank() > 0 ? wanted : column.dtype(),
                     column.output->is_scaled ? model.row.extents() : column.row.extents())};
}

}  // namespace

void say_raw_type(const ModelFile& model, const PipelineOptions& options) {
  const Task& task = *options.task;
  if (!task.gives_codes() && !gives_rows(task)) return;
  if (format_of(options) != RowFormat::kRaw) return;
  const OutputColumn column = output_column(result_columns(model, options).front(), model, options);
  const DType is = column.row.dtype();
  const DType taken = raw_dtype(model, task);
  if (!is_float(is) || is == taken) return;
  options.log.warning(options.output, ": raw ", column.output->what, " of ", name(is),
                      ", which are taken for ", name(taken), " unless --dtype ", name(is),
                      " says otherwise");
}

RowOutputOptions output_options(const ModelFile& model, const Dataset& input,
                                const PipelineOptions& options, std::string identity) {
  RowOutputOptions out;
  out.path = options.output;
  out.format = options.output_format;
  for (const TaskColumn& column : result_columns(model, options))
    out.columns.push_back(output_column(column, model, options));
  out.identity = std::move(identity);
  out.resume = options.resume;
  out.rows = input.rows();
  if (const auto ids = carried_ids(input, options)) out.id_name = input.fields()[*ids].name;
  out.feature_names = feature_names(model);
  out.may_skip = options.on_bad_value == BadValue::kSkip;
  out.is_numbered = out.may_skip || carried_numbers(input, options).has_value();
  return out;
}

std::optional<size_t> carried_ids(const Dataset& input, const PipelineOptions& options) {
  return is_text(format_of(options)) ? input.find(FieldRole::kId) : std::nullopt;
}

std::optional<size_t> carried_numbers(const Dataset& input, const PipelineOptions& options) {
  const bool has_room = is_text(format_of(options)) || options.on_bad_value == BadValue::kSkip;
  return has_room ? input.find(FieldRole::kRow) : std::nullopt;
}

std::string pipeline_identity(const Backend& backend, const ModelFile& model, const Dataset& input,
                              const PipelineOptions& options) {
  std::string text =
      cat(options.task->number - 1, " ", input.identity(), " ", input.text(), " ",
          model_identity(model), " ", name(output_dtype(model, options)), " ",
          options.output_format, " ", name(options.on_bad_value), " ", options.worst, " ",
          name(options.inference.precision), " ", options.inference.fast_policy, " ",
          backend.info().space == Space::kHost ? "cpu" : backend.info().name, input.layout());
  if (options.task->inputs.empty())
    text += cat(" ", options.seed, " ", std::bit_cast<uint64_t>(options.temperature));
  return hash_of(text).hex();
}

bool is_read_in_parts(const Dataset& input, Space space) {
  return input.gives_parts() && space == Space::kHost;
}

namespace {

uint64_t id_bytes(const Dataset& input, const PipelineOptions& options) {
  return (carried_ids(input, options) ? kIdBytes : 0) +
         (carried_numbers(input, options) ? sizeof(uint64_t) : 0);
}

}  // namespace

uint64_t block_rows(const PipelineOptions& options, const Dataset& input, Space space) {
  const uint64_t row_bytes =
      std::max<uint64_t>(1, input.x().row.bytes()) + id_bytes(input, options);
  const uint64_t usual_bytes = is_read_in_parts(input, space) ? kUsualBytesInParts : kUsualBytes;
  const uint64_t usual = std::max(kUsualRows, usual_bytes / row_bytes);
  const uint64_t asked = options.batch_rows > 0 ? static_cast<uint64_t>(options.batch_rows) : usual;
  return std::clamp<uint64_t>(kBlockBytes / row_bytes, 1, asked);
}

InferenceOptions inference_options(const PipelineOptions& options, const Dataset& input,
                                   const DeviceInfo& device) {
  InferenceOptions out = options.inference;
  if (out.max_rows == 0) out.max_rows = usual_max_rows(device);
  const uint64_t pieces = device.space == Space::kHost ? 1 : kPiecesOfBlock;
  const uint64_t piece_rows = (block_rows(options, input, device.space) + pieces - 1) / pieces;
  out.max_rows = std::min(out.max_rows, static_cast<int64_t>(piece_rows));
  return out;
}

namespace {

// What a row takes while it is written: the number of a CSV has some 12 characters.
uint64_t writing_bytes(const RowOutputOptions& output) {
  constexpr uint64_t kCsvNumberBytes = 12;
  uint64_t bytes = 0;
  for (const OutputColumn& column : output.columns) {
    const auto numbers = static_cast<uint64_t>(column.row.elems());
    if (is_csv(output)) bytes += numbers * kCsvNumberBytes;
    if (column.row.dtype() != DType::kF32) bytes += numbers * size_bytes(column.row.dtype());
  }
  return bytes;
}

// As many blocks as the rows fill go round, of which one is being written.
uint64_t block_bytes(const PipelineOptions& options, const Dataset& input, Space space,
                     const RowOutputOptions& output, const std::vector<TaskColumn>& columns) {
  uint64_t row_bytes = is_read_in_parts(input, space) ? 0 : input.x().row.bytes();
  for (const TaskColumn& column : columns) row_bytes += column.row_bytes();
  row_bytes += id_bytes(input, options);
  if (options.on_bad_value == BadValue::kSkip) row_bytes += sizeof(RowState) + sizeof(uint64_t);
  const uint64_t rows = block_rows(options, input, space);
  const uint64_t all = input.rows().value_or(kPipelineBlocks * rows);
  return std::min(all, kPipelineBlocks * rows) * row_bytes +
         std::min(all, rows) * writing_bytes(output);
}

// Rows that are read in parts need room before they are converted.
uint64_t lane_bytes(Backend& backend, const ModelFile& model, const Dataset& input,
                    const PipelineOptions& options) {
  const DeviceInfo& device = backend.info();
  const TensorDesc& row = input.x().row;
  const bool is_raw = row.dtype() == DType::kU8 && !options.task->reads_codes();
  const bool has_room = is_read_in_parts(input, device.space) && !is_raw;
  const uint64_t rows = block_rows(options, input, device.space);
  return call_bytes(backend, model.config.model, model.network(),
                    inference_options(options, input, device), *options.task, options.worst,
                    is_raw ? Source::kRawU8 : Source::kScaled,
                    std::min(rows, input.rows().value_or(rows)), has_room ? row.bytes() : 0);
}

}  // namespace

PipelineEstimate estimate_pipeline(Backend& backend, const ModelFile& model, const Dataset& input,
                                   const PipelineOptions& options) {
  require_pipeline(model, input, options);
  PipelineEstimate out;
  out.rows = input.rows();
  const RowOutputOptions output = output_options(model, input, options);
  out.row = output.columns.front().row;
  out.output_bytes = output_bytes(output);
  for (const auto& values : model.parameters) out.weight_bytes += values.size() * sizeof(float);
  out.buffer_bytes =
      block_bytes(options, input, backend.info().space, output, result_columns(model, options)) +
      lane_bytes(backend, model, input, options);
  return out;
}

}  // namespace diabolo
