// diabolo_evaluate and diabolo_evaluate_file.
#include "evaluate/evaluate.h"

#include <functional>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>

#include "capi/arguments.h"
#include "capi/handles.h"
#include "capi/input_file.h"
#include "capi/rows_progress.h"
#include "capi/status.h"

namespace diabolo::capi {

namespace {

using nlohmann::json;

// NaN where the report does not have it.
double number(const json& report, const char* part, const char* key) {
  const auto found = report.find(part);
  if (found == report.end() || !found->contains(key))
    return std::numeric_limits<double>::quiet_NaN();
  return found->at(key).get<double>();
}

diabolo_evaluation describe(const json& report) {
  diabolo_evaluation out{};
  out.rows = report.at("rows").get<uint64_t>();
  out.mse = number(report, "reconstruction", "mse");
  out.psnr_db = number(report, "reconstruction", "psnr_db");
  out.pca_mse = number(report, "pca", "mse");
  out.auroc = number(report, "anomaly", "auroc");
  out.average_precision = number(report, "anomaly", "average_precision");
  out.false_alarm_rate = number(report, "anomaly", "false_alarm_rate");
  return out;
}

void check_one_of(const void* one, const void* other, const char* names) {
  if (one && other)
    throw Error(ErrorCode::kUsage, cat("evaluate options: expected ", names, ", found both"));
}

// Before anything is opened.
void check_labels(const diabolo_evaluate_options& options) {
  check_one_of(options.labels, options.labels_path, "labels or labels_path");
  check_one_of(options.labels, options.input_label_column, "labels or input_label_column");
  check_one_of(options.labels_path, options.input_label_column,
               "labels_path or input_label_column");
}

std::unique_ptr<Dataset> labels_of(const diabolo_evaluate_options& options) {
  if (options.labels_path)
    return open_dataset(required_path("evaluate options.labels_path", options.labels_path));
  if (!options.labels) return nullptr;
  const auto values =
      output_of("evaluate options.labels", options.labels, ~uint64_t{0}, options.label_count, 1);
  return memory_dataset("labels", TensorDesc(DType::kU8, {}), std::as_bytes(values));
}

std::unique_ptr<Dataset> open_rows(const char* argument, const char* path, const Model& model,
                                   const diabolo_evaluate_options& options) {
  return open_input(argument, path, given_input("evaluate options", options), model.file,
                    model.file.row);
}

// Rows in memory are not read by fields that say how to read a file.
void require_a_file(const diabolo_evaluate_options& options) {
  const GivenInput given = given_input("evaluate options", options);
  const char* const field = given.first_set();
  if (field && !options.pca_path)
    throw Error(ErrorCode::kUsage,
                cat(given.name, ".", field, ": is for files, expected none as the rows are in ",
                    "memory (diabolo_evaluate_file reads a file)"));
}

std::unique_ptr<Dataset> pca_rows_of(const Model& model, const diabolo_evaluate_options& options) {
  check_one_of(options.pca_from, options.pca_path, "pca_from or pca_path");
  if (options.pca_path)
    return open_rows("evaluate options.pca_path", options.pca_path, model, options);
  return options.pca_from ? dataset_of("pca_from", options.pca_from) : nullptr;
}

json report_of(const Model& model, const Dataset& data, const diabolo_evaluate_options& given) {
  const auto labels = labels_of(given);
  const auto pca_rows = pca_rows_of(model, given);
  EvaluateOptions options;
  options.labels = labels.get();
  options.pca_from = pca_rows.get();
  options.on_bad_value = bad_value_of("evaluate options", given.on_bad_value, model.file);
  options.pca_on_bad_value = options.on_bad_value;
  options.inference.precision = model.context->precision;
  options.inference.fast_policy = model.context->fast_policy;
  options.threads = static_cast<int>(model.context->backend->info().cpu.threads);
  options.log = model.context->log;
  RowsProgress progress(given.progress, given.progress_user);
  if (progress) {
    options.progress = [&progress](const EvaluateProgress& now) {
      if (!progress(now.rows, now.total_rows))
        throw Error(ErrorCode::kInterrupted, "evaluation was stopped by its callback");
    };
    options.progress({0, 0, data.rows().value_or(0)});
  }
  return evaluate(*model.context->backend, model.file, data, options);
}

using OpenData = std::function<std::unique_ptr<Dataset>(const Model& model,
                                                        const diabolo_evaluate_options& options)>;

// What both functions do.
void run_evaluation(const diabolo_model* model, const OpenData& open,
                    const diabolo_evaluate_options* options, diabolo_evaluation* result) {
  const auto found = find_model(model);
  check_result("evaluation", result);
  const diabolo_evaluate_options given = options_or_defaults("evaluate options", options);
  check_labels(given);
  const json report = report_of(*found, *open(*found, given), given);
  give_result("evaluation", describe(report), result);
  if (!given.report) return;
  const std::string text = report.dump();
  const CallerEnvironment environment;
  given.report(text.c_str(), given.report_user);
}

}  // namespace

}  // namespace diabolo::capi

using namespace diabolo::capi;

diabolo_status diabolo_evaluate(const diabolo_model* model, const diabolo_rows* rows,
                                const diabolo_evaluate_options* options,
                                diabolo_evaluation* result) {
  return guarded(__func__, [&] {
    const auto open = [&](const Model&, const diabolo_evaluate_options& given) {
      require_a_file(given);
      return dataset_of("rows", rows);
    };
    run_evaluation(model, open, options, result);
  });
}

diabolo_status diabolo_evaluate_file(const diabolo_model* model, const char* input,
                                     const diabolo_evaluate_options* options,
                                     diabolo_evaluation* result) {
  return guarded(__func__, [&] {
    const auto open = [&](const Model& found, const diabolo_evaluate_options& given) {
      return open_rows("input", input, found, given);
    };
    run_evaluation(model, open, options, result);
  });
}
