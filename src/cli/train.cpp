// diabolo train
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/json_output.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "cli/train_config.h"
#include "jobs/training.h"
#include "model/config_toml.h"

namespace diabolo::cli {
namespace {

struct TrainArguments {
  std::string data, output;
  bool resume = false, overwrite = false, dry_run = false;
  bool print_config = false, help_config = false;
  ConfigArguments config;
  OutputOptions out;
};

void describe(Arguments& arguments, TrainArguments& target) {
  arguments.optional_positional("DATA", target.data,
                                cat("rows: ", format_files(), "; '-' is standard input"));
  arguments.group("Output");
  arguments.text("-o,--output", target.output, "RUN_DIR",
                 "folder for model, checkpoint, configuration and metrics");
  arguments.flag("--resume", target.resume, "continue the training in RUN_DIR");
  arguments.flag("--overwrite", target.overwrite, "replace the training in RUN_DIR");
  arguments.flag("--dry-run", target.dry_run, "check the input, print sizes and memory; no more");
  arguments.flag("--print-config", target.print_config, "the configuration as TOML; no more");
  arguments.flag("--help-config", target.help_config, "every key of the configuration; no more");
  target.out.describe(arguments, true);
  target.config.describe(arguments);
}

// A damaged file of a run directory is no mistake of whoever names the directory.
void check_earlier(const std::string& path) {
  try {
    read_config_toml(path);
  } catch (const Error& error) {
    throw Error(ErrorCode::kModel, cat(error.what(),
                                       "; mend it, or leave it out of the training: --config FILE "
                                       "or --preset NAME"));
  }
}

Config configuration(const TrainArguments& arguments) {
  const std::string earlier = RunDirectory{arguments.output}.config();
  const bool is_named = arguments.config.config_file || arguments.config.preset;
  const bool goes_on = arguments.resume && !is_named && path_exists(earlier);
  if (goes_on) check_earlier(earlier);
  Config config = arguments.config.config(goes_on ? earlier : "");
  if (!arguments.data.empty()) config.data.train = arguments.data;
  require_utf8(config);
  return config;
}

[[noreturn]] void fail_without_data() {
  throw Error(ErrorCode::kUsage, "train: DATA is missing (diabolo train DATA -o RUN_DIR)");
}

// What can be said before the folder is claimed; nothing in it has been read yet.
void check_usage(const TrainArguments& arguments) {
  if (arguments.output.empty() && arguments.data.empty()) fail_without_data();
  if (arguments.output.empty() || arguments.output == "-")
    throw Error(ErrorCode::kUsage, "train: -o RUN_DIR is missing (a folder for the results)");
  if (arguments.resume && arguments.overwrite)
    throw Error(ErrorCode::kUsage, "train: --resume and --overwrite exclude each other");
}

void require_data(const TrainArguments& arguments, const Config& config) {
  if (!config.data.train.empty()) return;
  if (!arguments.resume) fail_without_data();
  throw Error(
      ErrorCode::kUsage,
      cat("train: DATA is missing, and no configuration names it (it is ",
          RunDirectory{arguments.output}.config(), " unless --preset or --config is given)"));
}

nlohmann::json json_of(const TrainEstimate& estimate) {
  return {{"rows", estimate.rows},
          {"validation_rows", estimate.validation_rows},
          {"features", estimate.features},
          {"parameters", estimate.parameters},
          {"steps", estimate.steps},
          {"data_bytes", estimate.data_bytes},
          {"store_bytes", estimate.store_bytes},
          {"arena_bytes", estimate.arena_bytes},
          {"zeroed_bytes", estimate.zeroed_bytes},
          {"scoring_bytes", estimate.scoring_bytes},
          {"peak_bytes", estimate.peak_bytes}};
}

nlohmann::json file_fields(const TrainArguments& arguments, const Config& config) {
  return {{"input", config.data.train}, {"output", arguments.output}};
}

void print_estimate(const TrainEstimate& estimate, const TrainArguments& arguments,
                    const Config& config, Terminal& terminal) {
  if (arguments.out.json) {
    nlohmann::json json = json_of(estimate);
    json.update(file_fields(arguments, config));
    return print_json(arguments.out, terminal, std::move(json));
  }
  print_result(cat("rows        ", estimate.rows, "\nvalidation  ", estimate.validation_rows,
                   "\nfeatures    ", estimate.features, "\nparameters  ", estimate.parameters,
                   "\nsteps       ", estimate.steps, "\ndata        ", estimate.data_bytes,
                   " bytes\nstore       ", estimate.store_bytes, " bytes\narena       ",
                   estimate.arena_bytes, " bytes",
                   estimate.zeroed_bytes ? cat("\nzeroed      ", estimate.zeroed_bytes, " bytes")
                                         : std::string(),
                   "\nscoring     ", estimate.scoring_bytes, " bytes, at the end\npeak        ",
                   estimate.peak_bytes, " bytes\n"));
}

RunUse use_of(const TrainArguments& arguments) {
  if (arguments.resume) return RunUse::kResume;
  return arguments.overwrite ? RunUse::kOverwrite : RunUse::kNew;
}

nlohmann::json json_of(const TrainResult& result, const RunDirectory& directory) {
  nlohmann::json json = model_fields(directory.path, result.model);
  json["rows_read"] = result.rows_read;
  json["rows_skipped"] = result.rows_skipped;
  json["validation_rows"] = result.validation_rows;
  json["epochs"] = result.epochs;
  json["stopped_early"] = result.is_stopped_early;
  if (!result.metrics.empty()) json["last_epoch"] = result.metrics.back().json();
  if (result.model.threshold) {
    json["threshold"] = *result.model.threshold;
    json["threshold_quantile"] = result.model.threshold_quantile;
  }
  return json;
}

// " = reconstruction 0.1 + kl 0.02, perplexity 210".
std::string terms_text(const TermValues& terms) {
  std::string sum, measures;
  for (const TermValue& term : terms) {
    const std::string text = cat(term.name, " ", term.value);
    if (!term.in_loss)
      measures += ", " + text;
    else
      sum += (sum.empty() ? " = " : " + ") + text;
  }
  if (std::ranges::count(terms, true, &TermValue::in_loss) == 1) sum.clear();
  return sum + measures;
}

void say(const TrainResult& result, const RunDirectory& directory, Terminal& terminal) {
  terminal.end_live_line();
  const auto epochs = static_cast<uint64_t>(result.epochs);
  std::string line = cat(directory.model(), ": ", counted(epochs, "epoch"));
  if (result.is_stopped_early) line += ", stopped early";
  if (!result.metrics.empty()) {
    const EpochMetrics& last = result.metrics.back();
    line += cat(", loss ", last.loss);
    line += terms_text(last.terms);
    if (last.validation_loss) line += cat(", validation ", *last.validation_loss);
    line += cat(", ", short_number(last.samples_per_s), " samples/s");
  }
  terminal.line(line);
}

TrainResult train_in(const RunDirectory& directory, const TrainArguments& arguments,
                     const Config& config, const Dataset& data, Backend& backend,
                     Terminal& terminal) {
  const auto validation = open_validation(config, data);
  TrainOptions options;
  options.directory = directory;
  options.resume = arguments.resume;
  options.log = terminal.log();
  ProgressLine line(terminal);
  TrainCallbacks callbacks;
  callbacks.progress = [&line](const TrainProgress& progress) {
    line.show(progress);
    return !stop_is_requested();
  };
  TrainResult result = run_training(backend, config, data, validation.get(), options, callbacks);
  if (!result.is_cancelled) line.finish();
  return result;
}

int print_config(const TrainArguments& arguments, const Config& config, Terminal& terminal) {
  const auto data = open_dataset(config.data.train, open_options(config.data));
  const Config ready = resolved(config, default_scale(*data));
  if (arguments.out.json) {
    print_json(arguments.out, terminal, {{"config", config_json(ready)}});
  } else {
    print_result(config_toml(ready));
  }
  return 0;
}

int help_config(const TrainArguments& arguments, const Config& config, Terminal& terminal) {
  if (!arguments.out.json) {
    print_result(config_toml(config, true));
    return 0;
  }
  auto keys = nlohmann::json::array();
  for (const ConfigKey& key : config_keys())
    keys.push_back({{"key", key.path()},
                    {"type", type_text(key)},
                    {"value", value_text(key.get(config))},
                    {"meaning", key.meaning}});
  print_json(arguments.out, terminal, {{"keys", std::move(keys)}});
  return 0;
}

// Nothing where nothing will be written.
std::optional<RunDirectory> claimed_directory(const TrainArguments& arguments) {
  if (arguments.dry_run) return std::nullopt;
  return open_run_directory(arguments.output, use_of(arguments));
}

// What config.toml calls by a relative name lies where the training was begun.
std::unique_ptr<Dataset> open_data(const TrainArguments& arguments, const Config& config) {
  const std::string& path = config.data.train;
  const bool is_remembered = arguments.data.empty() && arguments.resume && path != "-";
  if (is_remembered && !path.starts_with('/') && !path_exists(path))
    throw Error(ErrorCode::kData,
                cat(path, ": is not there; ", RunDirectory{arguments.output}.config(),
                    " names it from the folder where the training was begun: go on there, or say "
                    "where it is (train DATA --resume)"));
  return open_dataset(path, open_options(config.data));
}

int run(const TrainArguments& arguments) {
  Terminal terminal(arguments.out);
  if (arguments.help_config) return help_config(arguments, configuration(arguments), terminal);
  if (arguments.print_config) {
    const Config config = configuration(arguments);
    if (!config.data.train.empty()) return print_config(arguments, config, terminal);
  }
  check_usage(arguments);
  // Claimed before anything in it is read, until the training has ended.
  const std::optional<RunDirectory> directory = claimed_directory(arguments);
  const Config config = configuration(arguments);
  require_data(arguments, config);
  // A resumed training may read the configuration that it writes again.
  if (directory && !arguments.resume && arguments.config.config_file)
    require_not_written(*directory, *arguments.config.config_file);
  const auto data = open_data(arguments, config);
  const auto backend =
      open_backend(config.train.device, config.train.threads, terminal, DeviceLine::kAlways);
  check_precision(backend->info(), config.train.precision);
  if (arguments.dry_run) {
    const auto validation = open_validation(config, *data);
    print_estimate(estimate_training(*backend, config, *data, validation.get()), arguments, config,
                   terminal);
    return 0;
  }
  const TrainResult result = train_in(*directory, arguments, config, *data, *backend, terminal);
  if (result.is_cancelled)
    throw Error(stop_code(), cat(directory->checkpoint(), ": interrupted after ",
                                 counted(static_cast<uint64_t>(result.epochs), "epoch"),
                                 "; the state is saved (--resume continues)"));
  say(result, *directory, terminal);
  if (arguments.out.json) {
    nlohmann::json json = json_of(result, *directory);
    json.update(file_fields(arguments, config));
    print_json(arguments.out, terminal, std::move(json));
  }
  return 0;
}

}  // namespace

std::function<int()> describe_train(Arguments& arguments) {
  const auto target = std::make_shared<TrainArguments>();
  describe(arguments, *target);
  return [target] { return run(*target); };
}

}  // namespace diabolo::cli
