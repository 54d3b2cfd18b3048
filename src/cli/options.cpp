#include "cli/options.h"

#include <algorithm>

#include "base/error.h"
#include "data/coarse_rows.h"

namespace diabolo::cli {
namespace {

// set_config_text for an option: errors name it.
void set_option(Config& config, const char* option, const char* key, const std::string& text) {
  try {
    set_config_text(config, key, text);
  } catch (const Error& error) {
    throw Error(error.code(), cat(option, ": ", error.what()));
  }
}

}  // namespace

void OutputOptions::describe(Arguments& arguments, bool has_progress) {
  arguments.group("Output");
  command = arguments.command();
  arguments.flag("--json", json,
                 "one JSON object in one line on standard output: the result, or the error");
  arguments.flag("-q,--quiet", is_quiet, "nothing on standard error but errors");
  arguments.flag("-v,--verbose", is_verbose, "also the device, and why it was chosen");
  if (has_progress)
    arguments.choice("--progress", progress, {"auto", "plain", "none"},
                     "a bar on a terminal, else a line every 30 s; plain: lines, at least one");
  arguments.choice("--color", color, {"auto", "always", "never"},
                   "auto: on a terminal, unless NO_COLOR is set");
}

void DeviceOptions::describe(Arguments& arguments) {
  arguments.group("Device");
  arguments.optional_text("--device", device, "DEVICE",
                          "auto, cpu, cuda or cuda:N; an explicit cuda never falls back");
  arguments.integer("--threads", threads, 0, 65536,
                    "of the CPU, at most all; 0: all, within a container's CPU quota");
  arguments.optional_text("--precision", precision, "f32|tf32|bf16",
                          "of products; sums are always f32");
  arguments.optional_text("--policy", policy, "strict|fast",
                          "fast: kernels that choose by batch size are allowed");
}

void set_flag(Config& config, const KeyFlag& flag, const std::string& text) {
  if (std::string_view(flag.key) == "data.shape") {
    config.data.shape = shape_from_text(text);
  } else {
    set_option(config, flag.flag, flag.key, text);
  }
}

void DataOptions::describe(Arguments& arguments) {
  arguments.group("Data");
  for (size_t i = 0; i < texts.size(); ++i) {
    const KeyFlag& flag = kReadingFlags[i];
    if (std::string_view(flag.flag) == kFirstTableFlag)
      arguments.group("Tables (columns by name, or by number from 0)");
    const bool is_format = std::string_view(flag.flag) == "--format";
    arguments.optional_text(flag.flag, texts[i], is_format ? format_choices() : flag.type,
                            flag.meaning);
  }
}

bool DataOptions::has(std::string_view flag) const {
  const auto found =
      std::ranges::find_if(kReadingFlags, [&](const KeyFlag& one) { return one.flag == flag; });
  DIABOLO_CHECK(found != kReadingFlags.end(), flag);
  return texts[static_cast<size_t>(found - kReadingFlags.begin())].has_value();
}

void ModelOptions::describe(Arguments& arguments) {
  arguments.group("Model");
  arguments.flag("--allow-unverified", allow_unverified,
                 "take a model file that carries no hash, as other tools rewrite it");
}

std::unique_ptr<Backend> open_backend(const std::string& device, int64_t threads,
                                      Terminal& terminal, DeviceLine says) {
  OpenedDevice opened = open_device(device, static_cast<uint64_t>(threads));
  const bool is_wanted = says == DeviceLine::kAlways || opened.leaves_gpu_unused;
  is_wanted ? terminal.line(opened.line) : terminal.detail(opened.line);
  if (!opened.note.empty()) terminal.log().warning(opened.note);
  return std::move(opened.backend);
}

TrainConfig inference_config(const DeviceOptions& options) {
  Config config;
  if (options.device) set_option(config, "--device", "train.device", *options.device);
  if (options.precision) set_option(config, "--precision", "train.precision", *options.precision);
  if (options.policy) set_option(config, "--policy", "train.policy", *options.policy);
  if (options.threads) config.train.threads = *options.threads;
  return config.train;
}

InferenceOptions inference_options(const TrainConfig& config) {
  InferenceOptions options;
  options.precision = config.precision;
  options.fast_policy = config.fast_policy;
  return options;
}

ModelFile open_model(const std::string& path, const ModelOptions& options, Terminal& terminal) {
  ModelFile model = load_model(path, {.allow_unverified = options.allow_unverified});
  if (options.allow_unverified) terminal.warn(cat(path, ": taken without asking for its hash"));
  warn_of_rounded_model(path, model.scaling, terminal.log());
  return model;
}

std::vector<int64_t> shape_from_text(const std::string& shape) {
  Config config;
  const bool is_list = shape.starts_with("[");
  set_option(config, "--shape", "data.shape", is_list ? shape : cat("[", shape, "]"));
  return config.data.shape;
}

std::string format_choices() {
  std::string text;
  for (const std::string& name : format_names()) text += (text.empty() ? "" : "|") + name;
  return text;
}

DataConfig data_config(const DataOptions& options) {
  Config config;
  for (size_t i = 0; i < kReadingFlags.size(); ++i)
    if (options.texts[i]) set_flag(config, kReadingFlags[i], *options.texts[i]);
  return config.data;
}

std::unique_ptr<Dataset> open_rows(const std::string& path, const DataOptions& options,
                                   const ModelFile& model, const TensorDesc& row, RowsAre rows) {
  OpenOptions open = open_options(data_config(options));
  open.usual = usual_reading(model, row, rows);
  return open_dataset(path, open);
}

BadValue bad_value(const DataOptions& options, const ModelFile& model) {
  return options.has("--on-bad-value") ? data_config(options).on_bad_value
                                       : model.config.data.on_bad_value;
}

}  // namespace diabolo::cli
