#include "cli/train_config.h"

#include "cli/options.h"
#include "model/config_toml.h"
#include "model/presets.h"

namespace diabolo::cli {
namespace {

constexpr const char* kPresetKey = "model.preset";

void set_pair(Config& config, const std::string& pair) {
  const size_t equals = pair.find('=');
  if (equals == std::string::npos)
    throw Error(ErrorCode::kUsage, cat("--set ", pair, ": expected table.key=value"));
  const std::string path = pair.substr(0, equals);
  if (path == kPresetKey)
    throw Error(ErrorCode::kUsage, cat("--set ", pair, ": use --preset, which sets the rest too"));
  set_config_text(config, path, pair.substr(equals + 1));
}

void set_flag(Config& config, const KeyFlag& flag, const std::string& text) {
  try {
    const bool is_shape = std::string_view(flag.key) == "data.shape";
    if (is_shape) {
      config.data.shape = shape_from_text(text);
    } else {
      set_config_text(config, flag.key, text);
    }
  } catch (const Error& error) {
    throw Error(error.code(), cat(flag.flag, ": ", error.what()));
  }
}

std::string preset_of(std::span<const ConfigAssignment> assignments) {
  for (const ConfigAssignment& assignment : assignments)
    if (assignment.path == kPresetKey) return std::get<std::string>(assignment.value);
  return "dense";
}

}  // namespace

void ConfigArguments::describe(Arguments& arguments) {
  arguments.group("Configuration (flag before file before preset)");
  arguments.optional_text("--preset", preset, "NAME", "see diabolo presets; dense if not given");
  arguments.optional_text("--config", config_file, "FILE.toml", "'-' is standard input");
  arguments.texts("--set", set, "TABLE.KEY=VALUE", "any key of the file; may be given repeatedly");
  for (size_t i = 0; i < kKeyFlags.size(); ++i)
    arguments.optional_text(kKeyFlags[i].flag, flags[i], kKeyFlags[i].type,
                            find_config_key(kKeyFlags[i].key)->meaning);
}

Config ConfigArguments::config(const std::string& fallback_file) const {
  const std::string file = config_file.value_or(fallback_file);
  std::vector<ConfigAssignment> assignments;
  if (!file.empty()) assignments = read_config_toml(file);
  Config config = preset_config(preset ? *preset : preset_of(assignments));
  const std::string preset_name = config.model.preset;
  assign(assignments, config);
  config.model.preset = preset_name;
  override(config);
  return config;
}

void ConfigArguments::override(Config& config) const {
  for (const std::string& pair : set) set_pair(config, pair);
  for (size_t i = 0; i < flags.size(); ++i)
    if (flags[i]) set_flag(config, kKeyFlags[i], *flags[i]);
}

}  // namespace diabolo::cli
