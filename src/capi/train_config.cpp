#include "capi/train_config.h"

#include <optional>
#include <string>

#include "base/checked.h"
#include "base/file.h"
#include "capi/arguments.h"
#include "model/presets.h"
#include "train/run_directory.h"

namespace diabolo::capi {

namespace {

// Empty: none.
std::string config_path(const diabolo_train_options& options) {
  if (options.config_path) return required_path("train options.config_path", options.config_path);
  const bool goes_on = options.run_use == DIABOLO_RUN_RESUME && options.run_directory;
  if (!goes_on || options.preset) return "";
  const std::string earlier = RunDirectory{options.run_directory}.config();
  return path_exists(earlier) ? earlier : "";
}

void apply_settings(Config& config, const diabolo_train_options& options) {
  if (options.setting_count == 0) return;
  const char* const* settings = &required("train options.settings", options.settings);
  for (uint64_t i = 0; i < options.setting_count; ++i)
    set_config_pair(config, &required("a setting", settings[i]));
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
  std::optional<std::string> preset;
  if (options.preset) preset = options.preset;
  Config config = layered_config(preset, config_path(options));
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

}  // namespace diabolo::capi
