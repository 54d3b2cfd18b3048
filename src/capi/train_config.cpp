#include "capi/train_config.h"

#include <string>
#include <vector>

#include "base/checked.h"
#include "base/file.h"
#include "capi/arguments.h"
#include "model/config_toml.h"
#include "model/presets.h"
#include "run/run_directory.h"

namespace diabolo::capi {

namespace {

constexpr const char* kPresetKey = "model.preset";

// Empty: none.
std::string config_path(const diabolo_train_options& options) {
  if (options.config_path) return required_path("train options.config_path", options.config_path);
  const bool goes_on = options.run_use == DIABOLO_RUN_RESUME && options.run_directory;
  if (!goes_on || options.preset) return "";
  const std::string earlier = RunDirectory{options.run_directory}.config();
  return path_exists(earlier) ? earlier : "";
}

std::string preset_of(const diabolo_train_options& options,
                      std::span<const ConfigAssignment> assignments) {
  if (options.preset) return options.preset;
  for (const ConfigAssignment& assignment : assignments)
    if (assignment.path == kPresetKey) return std::get<std::string>(assignment.value);
  return "dense";
}

void apply_setting(Config& config, const std::string& setting) {
  const size_t equals = setting.find('=');
  if (equals == std::string::npos)
    throw Error(ErrorCode::kUsage, cat("setting '", setting, "': expected table.key=value"));
  const std::string path = setting.substr(0, equals);
  if (path == kPresetKey)
    throw Error(ErrorCode::kUsage,
                cat("setting '", setting, "': use train options.preset, which sets the rest too"));
  set_config_text(config, path, setting.substr(equals + 1));
}

void apply_settings(Config& config, const diabolo_train_options& options) {
  if (options.setting_count == 0) return;
  const char* const* settings = &required("train options.settings", options.settings);
  for (uint64_t i = 0; i < options.setting_count; ++i)
    apply_setting(config, &required("a setting", settings[i]));
}

// 0 leaves the key alone.
void apply_number(Config& config, const char* path, uint64_t value) {
  if (value == 0) return;
  const auto number = checked_cast<int64_t>(value);
  if (!number) throw Error(ErrorCode::kUsage, cat(path, ": ", value, " is too many"));
  set_config(config, path, *number);
}

}  // namespace

Config train_config(const Context& context, const diabolo_train_options& options) {
  const std::string file = config_path(options);
  std::vector<ConfigAssignment> assignments;
  if (!file.empty()) assignments = read_config_toml(file);
  Config config = preset_config(preset_of(options, assignments));
  const std::string preset = config.model.preset;
  assign(assignments, config);
  config.model.preset = preset;
  apply_settings(config, options);
  apply_number(config, "train.epochs", options.epochs);
  apply_number(config, "train.batch_size", options.batch_size);
  apply_number(config, "model.code.size", options.code_size);
  apply_number(config, "train.seed", options.seed);
  // The comparison is also true for NaN, which the key then refuses.
  if (options.learning_rate != 0)
    set_config(config, "optimizer.learning_rate", options.learning_rate);
  const DeviceInfo& device = context.backend->info();
  config.train.device = device.space == Space::kHost ? "cpu" : cat("cuda:", device.index);
  config.train.threads = static_cast<int64_t>(context.threads);
  config.train.precision = context.precision;
  config.train.fast_policy = context.fast_policy;
  return config;
}

OpenOptions open_options(const DataConfig& config) {
  OpenOptions options;
  options.format = config.format;
  options.row_shape = config.shape;
  if (config.dtype == "auto") return options;
  options.dtype = dtype_from_name(config.dtype);
  if (!options.dtype)
    throw Error(ErrorCode::kUsage, cat("data.dtype: '", config.dtype,
                                       "' is no element type (f32, f64, f16, u8, i8 ...)"));
  return options;
}

}  // namespace diabolo::capi
