#include "cli/options.h"

#include <charconv>

namespace diabolo::cli {
namespace {

std::optional<int> cuda_index(std::string_view device) {
  if (device == "cuda") return 0;
  if (!device.starts_with("cuda:")) return std::nullopt;
  device.remove_prefix(5);
  int index = -1;
  const auto [end, error] = std::from_chars(device.data(), device.data() + device.size(), index);
  if (error != std::errc() || end != device.data() + device.size() || index < 0)
    return std::nullopt;
  return index;
}

std::string text(const DeviceInfo& info) {
  if (info.space == Space::kCuda) return cat("cuda:", info.index, " (", info.name, ")");
  return cat("cpu (", info.name, ", ", info.cpu.threads,
             info.cpu.threads == 1 ? " thread)" : " threads)");
}

std::unique_ptr<Backend> open_auto(int64_t threads, std::string& why) {
  const CudaDevices cuda = list_cuda_devices();
  if (!cuda.devices.empty()) {
    why = cat(", chosen as the first of ", cuda.devices.size(), " CUDA device",
              cuda.devices.size() == 1 ? "" : "s");
    return create_cuda_backend(cuda.devices.front().index);
  }
  why = cat(", chosen because there is no CUDA device: ", cuda.why_none);
  return create_host_backend(static_cast<int>(threads));
}

bool looks_raw(const std::string& path, const OpenOptions& options) {
  return options.format == "raw" || path.ends_with(".raw") || path.ends_with(".bin");
}

}  // namespace

void OutputOptions::describe(Arguments& arguments, bool has_progress) {
  arguments.group("Output");
  arguments.flag("--json", json, "the result as one JSON object on standard output");
  if (has_progress)
    arguments.choice("--progress", progress, {"auto", "plain", "none"},
                     "a bar on a terminal, else a line every 30 s; plain: lines always");
  arguments.choice("--color", color, {"auto", "always", "never"},
                   "auto: on a terminal, unless NO_COLOR is set");
}

void DeviceOptions::describe(Arguments& arguments) {
  arguments.group("Device");
  arguments.optional_text("--device", device, "DEVICE",
                          "auto, cpu, cuda or cuda:N; an explicit cuda never falls back");
  arguments.integer("--threads", threads, 0, 4096, "of the CPU; 0: all");
  arguments.optional_text("--precision", precision, "f32|tf32|bf16",
                          "of products; sums are always f32");
  arguments.optional_text("--policy", policy, "strict|fast",
                          "fast: kernels that choose by batch size are allowed");
}

void DataOptions::describe(Arguments& arguments) {
  arguments.group("Data");
  arguments.optional_text("--format", format, "npy|idx|raw", "of the input; else by its content");
  arguments.optional_text("--dtype", dtype, "TYPE", "of a raw file: f32, u8 ...");
  arguments.optional_text("--shape", shape, "N,...", "of one row of a raw file, e.g. 28,28");
  arguments.optional_text("--on-bad-value", on_bad_value, "error|zero|mean|skip",
                          "what to do with NaN, infinity and numbers beyond f32");
}

void ModelOptions::describe(Arguments& arguments) {
  arguments.group("Model");
  arguments.flag("--allow-unverified", allow_unverified,
                 "take a model file that carries no hash, as other tools rewrite it");
}

std::unique_ptr<Backend> open_backend(const std::string& device, int64_t threads,
                                      Terminal& terminal) {
  std::unique_ptr<Backend> backend;
  std::string why;
  if (device == "auto") {
    backend = open_auto(threads, why);
  } else if (device == "cpu") {
    backend = create_host_backend(static_cast<int>(threads));
  } else if (const auto index = cuda_index(device)) {
    backend = create_cuda_backend(*index);
  } else {
    throw Error(ErrorCode::kUsage,
                cat("--device: expected auto, cpu, cuda or cuda:N, found '", device, "'"));
  }
  terminal.line(cat("device: ", text(backend->info()), why));
  return backend;
}

void check_precision(const DeviceInfo& device, Precision precision) {
  if (device.space == Space::kHost && precision == Precision::kTf32)
    throw Error(ErrorCode::kUsage,
                "--precision tf32: a CPU has no such products (use f32, or a CUDA device)");
  if (device.space == Space::kHost && precision == Precision::kBf16 && !device.cpu.has_bf16)
    throw Error(ErrorCode::kUsage,
                cat("--precision bf16: ", device.name, " has no bf16 products (use f32)"));
}

TrainConfig inference_config(const DeviceOptions& options) {
  Config config;
  if (options.device) set_config_text(config, "train.device", *options.device);
  if (options.precision) set_config_text(config, "train.precision", *options.precision);
  if (options.policy) set_config_text(config, "train.policy", *options.policy);
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
  if (options.allow_unverified)
    terminal.line(cat("warning: ", path, ": taken without asking for its hash"));
  return model;
}

std::vector<int64_t> shape_from_text(const std::string& shape) {
  Config config;
  const bool is_list = shape.starts_with("[");
  set_config_text(config, "data.shape", is_list ? shape : cat("[", shape, "]"));
  return config.data.shape;
}

OpenOptions open_options(const DataConfig& config) {
  OpenOptions options;
  options.format = config.format;
  if (config.dtype != "auto") {
    options.dtype = dtype_from_name(config.dtype);
    if (!options.dtype)
      throw Error(ErrorCode::kUsage, cat("--dtype: '", config.dtype,
                                         "' is no element type (f32, f64, f16, u8, i8 ...)"));
  }
  options.row_shape = config.shape;
  return options;
}

DataConfig data_config(const DataOptions& options) {
  Config config;
  if (options.format) set_config_text(config, "data.format", *options.format);
  if (options.dtype) set_config_text(config, "data.dtype", *options.dtype);
  if (options.shape) config.data.shape = shape_from_text(*options.shape);
  if (options.on_bad_value) set_config_text(config, "data.on_bad_value", *options.on_bad_value);
  return config.data;
}

std::unique_ptr<Dataset> open_rows(const std::string& path, const DataOptions& options,
                                   const TensorDesc& row) {
  OpenOptions open = open_options(data_config(options));
  if (looks_raw(path, open)) {
    if (!open.dtype) open.dtype = row.dtype();
    if (open.row_shape.empty()) open.row_shape.assign(row.extents().begin(), row.extents().end());
  }
  return open_dataset(path, open);
}

BadValue bad_value(const DataOptions& options, const ModelFile& model) {
  return options.on_bad_value ? data_config(options).on_bad_value : model.config.data.on_bad_value;
}

}  // namespace diabolo::cli
