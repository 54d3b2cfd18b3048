// Rows in memory through a model: diabolo_encode, _decode, _reconstruct, _score, _score_features.
#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "base/checked.h"
#include "capi/arguments.h"
#include "capi/handles.h"
#include "capi/model_texts.h"
#include "capi/rows.h"
#include "capi/rows_progress.h"
#include "capi/status.h"
#include "infer/explain.h"
#include "jobs/encode_pipeline.h"

namespace diabolo::capi {

namespace {

uint64_t features_of(const Model& model) {
  return static_cast<uint64_t>(model.inference.features());
}

uint64_t code_size_of(const Model& model) {
  return static_cast<uint64_t>(model.inference.code_size());
}

RawRows raw_rows(const diabolo_rows* rows, const TensorDesc& expected) {
  const diabolo_rows given = required_struct("rows", rows);
  RawRows out;
  out.dtype = row_of(given, expected).dtype();
  out.bytes = bytes_of("rows", given);
  out.rows = given.count;
  return out;
}

RawRows raw_rows(const Model& model, const diabolo_rows* rows) {
  return raw_rows(rows, model.file.row);
}

static_assert(sizeof(RowState) == sizeof(diabolo_row_state));
static_assert(static_cast<int>(RowState::kGood) == DIABOLO_ROW_OK);
static_assert(static_cast<int>(RowState::kBadInput) == DIABOLO_ROW_BAD_INPUT);
static_assert(static_cast<int>(RowState::kBadResult) == DIABOLO_ROW_BAD_RESULT);

// Rows in memory keep their places, so none can be left out unless there is a state for each.
RowRules rules_of(const Model& model, const diabolo_row_options& options, uint64_t rows) {
  RowRules out;
  out.place.option = "on_bad_value =";
  if (options.count != 0 && options.count != rows)
    throw Error(ErrorCode::kUsage, cat("row options.count: expected 0 or ", rows,
                                       ", the rows of the inputs, found ", options.count));
  out.on_bad_value = bad_value_of("row options", options.on_bad_value, model.file);
  if (options.states) {
    if (options.states_size < rows)
      throw Error(ErrorCode::kUsage, cat("row options.states: expected room for ", rows,
                                         " states, found ", options.states_size));
    out.states = {reinterpret_cast<RowState*>(options.states), rows};
  } else if (options.on_bad_value == DIABOLO_BAD_VALUE_SKIP) {
    throw Error(ErrorCode::kUsage,
                "row options.states: skip needs a state per row, found null (or use zero or mean)");
  } else if (out.on_bad_value == BadValue::kSkip) {
    out.on_bad_value = BadValue::kError;
  }
  if (options.progress) {
    const auto progress = std::make_shared<RowsProgress>(options.progress, options.progress_user);
    out.progress = [progress, rows](uint64_t done) { return (*progress)(done, rows); };
  }
  return out;
}

// Which scores are above the threshold. Made before the work, used after it.
class Above {
 public:
  Above(const Model& model, const diabolo_row_options& options, uint64_t rows, bool is_score) {
    if (!options.above) return;
    if (!is_score)
      throw Error(ErrorCode::kUsage, "row options.above: only scores have a threshold");
    out_ = output_of("row options.above", options.above, options.above_size, rows, 1);
    threshold_ = model.file.threshold;
    if (options.threshold != 0)
      threshold_ = required_threshold("row options.threshold", options.threshold);
    if (!threshold_)
      throw Error(ErrorCode::kUsage,
                  "row options.threshold: the model has none of its own; say which");
  }
  // NaN is a row that was left out.
  void put(std::span<const float> scores) const {
    for (size_t i = 0; i < out_.size(); ++i) out_[i] = static_cast<double>(scores[i]) > *threshold_;
  }

 private:
  std::span<uint8_t> out_;
  std::optional<double> threshold_;
};

// Numbers per row of what a verb writes.
uint64_t output_width(const Model& model, const Task& task) {
  return model.inference.columns(task).front().width();
}

uint64_t output_size(const Model& model, const Task& task, uint64_t rows) {
  const uint64_t width = output_width(model, task);
  const auto numbers = diabolo::checked_mul(rows, width);
  const auto bytes =
      numbers ? diabolo::checked_mul<uint64_t>(*numbers, sizeof(float)) : std::nullopt;
  if (!bytes)
    throw Error(ErrorCode::kUsage,
                cat("rows: ", rows, " rows of ", width, " numbers are more than any memory holds"));
  return *numbers;
}

// Of the task's first output; rows that were left out are NaN.
std::span<const float> floats_of(const TaskResults& results) {
  return {reinterpret_cast<const float*>(results.bytes.data()),
          results.bytes.size() / sizeof(float)};
}

// A task that reads nothing has as many as it is asked for.
uint64_t row_count(std::span<const RawRows> in, const diabolo_row_options& options) {
  return in.empty() ? options.count : in.front().rows;
}

void run_task(const Model& model, const Task& task, std::span<const RawRows> in,
              const diabolo_row_options& options, std::span<const TaskResults> out) {
  const uint64_t rows = row_count(in, options);
  RowRules rules = rules_of(model, options, rows);
  if (task.reads_codes()) rules.place.name = "codes";
  const Above above(model, options, rows, task.has_threshold);
  const auto is_empty = [](const RawRows& each) { return each.rows == 0; };
  if (rows == 0 && std::ranges::all_of(in, is_empty)) return;
  model.inference.run(task, in, out, rules,
                      {.rows = rows,
                       .seed = options.seed,
                       .temperature = options.temperature == 0 ? 1 : options.temperature});
  if (task.has_threshold) above.put(floats_of(out.front()));
}

void run_rows(const Model& model, const Task& task, std::span<const RawRows> in,
              const diabolo_row_options& options, float* out, uint64_t room, const char* name) {
  const std::span<float> to =
      output_of(name, out, room, row_count(in, options), output_width(model, task));
  run_task(model, task, in, options, std::array<TaskResults, 1>{to});
}
void run_rows(const Model& model, const Task& task, const RawRows& in,
              const diabolo_row_options& options, float* out, uint64_t room, const char* name) {
  run_rows(model, task, std::span(&in, 1), options, out, room, name);
}

void check_count(const char* name, uint64_t expected, uint64_t found) {
  if (expected != found)
    throw Error(ErrorCode::kUsage, cat(name, ": expected ", expected, ", found ", found));
}

TaskResults results_of(const TaskColumn& column, const diabolo_output* given, uint64_t rows) {
  const diabolo_output to = required_struct("output", given);
  const char* const what = column.output->what;
  const DType dtype = column.dtype();
  if (const DType found = dtype_of("output.dtype", to.dtype); found != dtype)
    throw Error(ErrorCode::kUsage,
                cat(what, ": expected output.dtype ", name(dtype), ", found ", name(found)));
  const auto typed = [&]<class Number>(Number) -> TaskResults {
    return {dtype, output_of(what, static_cast<Number*>(to.data), to.room, rows, column.width())};
  };
  if (size_bytes(dtype) == sizeof(uint8_t)) return typed(uint8_t{});
  return size_bytes(dtype) == sizeof(uint16_t) ? typed(uint16_t{}) : typed(uint32_t{});
}

// The caller vouches for the room of an input by its count.
RawRows raw_codes(const Model& model, const float* codes, uint64_t count) {
  const auto values = output_of("codes", codes, ~uint64_t{0}, count, code_size_of(model));
  return {.bytes = std::as_bytes(values), .rows = count};
}

void check_worst(const Model& model, uint64_t worst) {
  const uint64_t most = std::min<uint64_t>(DIABOLO_MAX_WORST, features_of(model));
  if (worst < 1 || worst > most)
    throw Error(ErrorCode::kUsage,
                cat("worst: expected a number from 1 to ", most, ", found ", worst));
}

Scores worst_of(const Model& model, uint64_t rows, uint64_t worst, uint32_t* features,
                float* errors, uint64_t room) {
  check_worst(model, worst);
  Scores out;
  out.worst = static_cast<int64_t>(worst);
  out.index = output_of("features", features, room, rows, worst);
  out.error = output_of("errors", errors, room, rows, worst);
  return out;
}

// Where the caller does not want what the library needs, memory of its own.
template <class Number>
std::span<Number> wanted_or_own(const char* name, Number* given, uint64_t room, uint64_t rows,
                                uint64_t worst, std::vector<Number>& own) {
  if (given) return output_of(name, given, room, rows, worst);
  own.resize(rows * worst);
  return own;
}

std::span<double> differences_of(const char* name, double* given, const diabolo_explanation& to,
                                 uint64_t rows) {
  return given ? output_of(name, given, to.room, rows, to.worst) : std::span<double>();
}

void explain_rows(const Model& model, const RawRows& in, const diabolo_row_options& options,
                  std::span<float> scores, const diabolo_explanation& to) {
  check_worst(model, to.worst);
  std::vector<uint32_t> own_features;
  std::vector<float> own_errors;
  Scores out;
  out.score = scores;
  out.worst = static_cast<int64_t>(to.worst);
  out.index = wanted_or_own("features", to.features, to.room, in.rows, to.worst, own_features);
  out.error = wanted_or_own("errors", to.errors, to.room, in.rows, to.worst, own_errors);
  const Differences differences{differences_of("differences", to.differences, to, in.rows),
                                differences_of("expected", to.expected, to, in.rows)};
  const Above above(model, options, in.rows, true);
  const RowRules rules = rules_of(model, options, in.rows);
  if (in.rows == 0) return;
  explain(model.inference, in, out, differences, rules);
  above.put(scores);
}

}  // namespace

void run_any(const Model& model, const Task& task, const Arrays& arrays,
             const diabolo_row_options& options) {
  const auto columns = model.inference.columns(task);
  check_count("input_count", task.inputs.size(), arrays.input_count);
  check_count("output_count", columns.size(), arrays.output_count);
  if (arrays.input_count > 0) required("inputs", arrays.inputs);
  required("outputs", arrays.outputs);
  std::vector<RawRows> in;
  for (size_t i = 0; i < task.inputs.size(); ++i)
    in.push_back(raw_rows(arrays.inputs[i],
                          input_row(task.inputs[i], model.file.row, model.inference.network())));
  std::vector<TaskResults> out;
  for (size_t i = 0; i < columns.size(); ++i)
    out.push_back(results_of(columns[i], arrays.outputs[i], row_count(in, options)));
  run_task(model, task, in, options, out);
}

}  // namespace diabolo::capi

using namespace diabolo::capi;

diabolo_status diabolo_output_size(const diabolo_model* model, diabolo_verb verb, uint64_t rows,
                                   uint64_t* numbers) {
  return guarded(__func__, [&] {
    const auto found = find_model(model);
    required("numbers", numbers) = output_size(*found, task_of(verb), rows);
  });
}

diabolo_status diabolo_encode(const diabolo_model* model, const diabolo_rows* rows, float* codes,
                              uint64_t codes_size) {
  return guarded(__func__, [&] {
    const auto found = find_model(model);
    run_rows(*found, diabolo::kEncodeTask, raw_rows(*found, rows), {}, codes, codes_size, "codes");
  });
}

diabolo_status diabolo_decode(const diabolo_model* model, const float* codes, uint64_t count,
                              float* rows, uint64_t rows_size) {
  return guarded(__func__, [&] {
    const auto found = find_model(model);
    run_rows(*found, diabolo::kDecodeTask, raw_codes(*found, codes, count), {}, rows, rows_size,
             "rows");
  });
}

diabolo_status diabolo_reconstruct(const diabolo_model* model, const diabolo_rows* rows, float* out,
                                   uint64_t out_size) {
  return guarded(__func__, [&] {
    const auto found = find_model(model);
    run_rows(*found, diabolo::kReconstructTask, raw_rows(*found, rows), {}, out, out_size, "out");
  });
}

diabolo_status diabolo_score(const diabolo_model* model, const diabolo_rows* rows, float* scores,
                             uint64_t scores_size) {
  return guarded(__func__, [&] {
    const auto found = find_model(model);
    run_rows(*found, diabolo::kScoreTask, raw_rows(*found, rows), {}, scores, scores_size,
             "scores");
  });
}

diabolo_status diabolo_run_rows(const diabolo_model* model, diabolo_verb verb,
                                const diabolo_rows* rows, const diabolo_row_options* options,
                                float* out, uint64_t out_size) {
  return guarded(__func__, [&] {
    const auto found = find_model(model);
    const diabolo_row_options given = options_or_defaults("row options", options);
    const diabolo::Task& task = task_of(verb);
    std::vector<diabolo::RawRows> in;
    if (!task.inputs.empty())
      in.push_back(
          raw_rows(rows, diabolo::input_row(task, found->file.row, found->inference.network())));
    else if (rows)
      throw diabolo::Error(diabolo::ErrorCode::kUsage,
                           diabolo::cat("rows: ", task.name, " reads none: expected null"));
    run_rows(*found, task, in, given, out, out_size, "out");
  });
}

diabolo_status diabolo_run(const diabolo_model* model, diabolo_verb verb,
                           const diabolo_rows* const* inputs, uint64_t input_count,
                           const diabolo_row_options* options, const diabolo_output* const* outputs,
                           uint64_t output_count) {
  return guarded(__func__, [&] {
    const auto found = find_model(model);
    const diabolo_row_options given = options_or_defaults("row options", options);
    run_any(*found, task_of(verb), {inputs, input_count, outputs, output_count}, given);
  });
}

diabolo_status diabolo_score_features(const diabolo_model* model, const diabolo_rows* rows,
                                      uint64_t worst, float* scores, uint64_t scores_size,
                                      uint32_t* features, float* errors, uint64_t worst_size) {
  return guarded(__func__, [&] {
    const auto found = find_model(model);
    const diabolo::RawRows in = raw_rows(*found, rows);
    diabolo::Scores out = worst_of(*found, in.rows, worst, features, errors, worst_size);
    out.score = output_of("scores", scores, scores_size, in.rows, 1);
    if (in.rows > 0) found->inference.score(in, out, rules_of(*found, {}, in.rows));
  });
}

diabolo_status diabolo_explain(const diabolo_model* model, const diabolo_rows* rows,
                               const diabolo_row_options* options, float* scores,
                               uint64_t scores_size, const diabolo_explanation* explanation) {
  return guarded(__func__, [&] {
    const auto found = find_model(model);
    const diabolo_row_options given = options_or_defaults("row options", options);
    const diabolo_explanation to = required_struct("explanation", explanation);
    const diabolo::RawRows in = raw_rows(*found, rows);
    const auto out = output_of("scores", scores, scores_size, in.rows, 1);
    explain_rows(*found, in, given, out, to);
  });
}
