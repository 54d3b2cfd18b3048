// diabolo evaluate
#include "evaluate/evaluate.h"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "data/file_stamp.h"
#include "data/labels.h"

namespace diabolo::cli {
namespace {

struct EvaluateArguments {
  std::string model, input, labels;
  std::optional<std::string> pca_from;
  OutputOptions out;
  DeviceOptions device;
  DataOptions data;
  ModelOptions model_options;
};

void describe(Arguments& arguments, EvaluateArguments& target) {
  arguments.positional("MODEL", target.model, "a model file, or a run directory");
  arguments.positional("INPUT", target.input,
                       cat("rows: ", format_files(), "; '-' is standard input"));
  arguments.group("Data");
  arguments.text(
      "--labels", target.labels, "FILE",
      "one number per row, 0: ordinary, else anomalous; adds AUROC (else the training's, for the "
      "same rows)");
  arguments.optional_text(
      "--pca-from", target.pca_from, "FILE",
      "rows that PCA is fitted on; else the training's, if that file is as it was; none: no PCA");
  target.data.describe(arguments);
  target.out.describe(arguments, true);
  target.device.describe(arguments);
  target.model_options.describe(arguments);
}

// The file that the model was trained on: read once at most, and only where somebody asks.
class TrainingFile {
 public:
  explicit TrainingFile(const FileStamp& stamp) : stamp_(stamp) {}
  const std::string& path() const { return stamp_.path; }
  // As why_not_usable.
  const std::string& trouble() {
    if (!trouble_) trouble_ = why_not_usable(stamp_);
    return *trouble_;
  }

 private:
  const FileStamp& stamp_;
  std::optional<std::string> trouble_;
};

// The rows for PCA, or nothing, with a line why, where they are not asked for or no longer those.
std::unique_ptr<Dataset> open_pca_rows(const EvaluateArguments& arguments, const ModelFile& model,
                                       TrainingFile& trained_on, Terminal& terminal) {
  if (arguments.pca_from && *arguments.pca_from == "none") return nullptr;
  if (arguments.pca_from) return open_rows(*arguments.pca_from, arguments.data, model, model.row);
  const std::string& trouble = trained_on.trouble();
  if (trouble.empty()) return open_dataset(trained_on.path(), open_options(model.config.data));
  terminal.warn(cat("PCA is left out: ", trouble, " (--pca-from FILE names rows for it)"));
  return nullptr;
}

// The labels to compare scores with, or nothing: those given, else those of the training where it
// is the training's rows that are evaluated and both kinds are among them.
std::unique_ptr<Dataset> open_labels(const EvaluateArguments& arguments, const ModelFile& model,
                                     const Dataset& input, TrainingFile& trained_on,
                                     Terminal& terminal) {
  if (!arguments.labels.empty()) return open_dataset(arguments.labels);
  if (input.find(FieldRole::kLabel)) return nullptr;  // the rows bring their own
  const FileStamp& labels_file = model.provenance.labels_file;
  if (model.config.data.labels.empty() || trained_on.path().empty() ||
      !is_same_file(arguments.input, trained_on.path()))
    return nullptr;
  const std::string trouble =
      trained_on.trouble().empty() ? why_not_usable(labels_file) : trained_on.trouble();
  if (!trouble.empty()) {
    terminal.warn(
        cat("the training's labels are left out: ", trouble, " (--labels FILE names others)"));
    return nullptr;
  }
  auto labels = open_dataset(labels_file.path);
  const std::vector<uint8_t> values = anomalies(read_labels(*labels, input));
  const auto has = [&](bool is_anomalous) {
    return std::ranges::any_of(values, [=](uint8_t v) { return (v != 0) == is_anomalous; });
  };
  if (has(true) && has(false)) return labels;
  terminal.warn(cat("the training's labels are left out: ", labels->name(), " has no ",
                    has(true) ? "ordinary" : "anomalous", " row (--labels FILE names others)"));
  return nullptr;
}

std::string title(const nlohmann::json& metrics, const std::string& part) {
  if (part != "pca") return part;
  return cat("PCA with ", metrics["pca"]["code_size"].get<int64_t>(), " components");
}

std::string text(const nlohmann::json& metrics) {
  std::vector<std::vector<std::string>> rows = {{"rows", cat(metrics["rows"].get<uint64_t>())}};
  for (const char* part : {"reconstruction", "pca", "anomaly"}) {
    if (!metrics.contains(part)) continue;
    for (const auto& [key, value] : metrics[part].items())
      if (key != "code_size")
        rows.push_back({title(metrics, part), key, number_text(value.get<double>())});
  }
  return table_text(rows);
}

int run(const EvaluateArguments& arguments) {
  Terminal terminal(arguments.out);
  if (!arguments.labels.empty() && arguments.data.has("--label-column"))
    throw Error(
        ErrorCode::kUsage,
        "evaluate: expected --labels or --label-column, found both (--drop-columns leaves a "
        "column out)");
  const ModelFile model = open_model(arguments.model, arguments.model_options, terminal);
  const auto input = open_rows(arguments.input, arguments.data, model, model.row);
  TrainingFile trained_on(model.provenance.data_file);
  const auto pca_rows = open_pca_rows(arguments, model, trained_on, terminal);
  const auto labels = open_labels(arguments, model, *input, trained_on, terminal);
  const TrainConfig config = inference_config(arguments.device);
  const auto backend = open_backend(config.device, config.threads, terminal);
  check_precision(backend->info(), config.precision);
  EvaluateOptions options;
  options.labels = labels.get();
  options.pca_from = pca_rows.get();
  options.on_bad_value = bad_value(arguments.data, model);
  options.pca_on_bad_value =  // the training's file is read as the training read it
      arguments.pca_from ? options.on_bad_value : model.config.data.on_bad_value;
  options.inference = inference_options(config);
  options.threads = backend->info().cpu.threads;
  ProgressLine line(terminal);
  options.progress = [&line](const EvaluateProgress& progress) { line.show(progress); };
  options.log = terminal.log();
  nlohmann::json metrics = evaluate(*backend, model, *input, options);
  line.finish();
  terminal.end_live_line();
  if (arguments.out.json) {
    metrics.update(model_fields(arguments.model, model));
    metrics["input"] = arguments.input;
    print_json(arguments.out, terminal, std::move(metrics));
  } else {
    print_result(text(metrics));
  }
  return 0;
}

}  // namespace

std::function<int()> describe_evaluate(Arguments& arguments) {
  const auto target = std::make_shared<EvaluateArguments>();
  describe(arguments, *target);
  return [target] { return run(*target); };
}

}  // namespace diabolo::cli
