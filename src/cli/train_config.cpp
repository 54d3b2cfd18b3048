#include "cli/train_config.h"

#include "cli/options.h"
#include "model/presets.h"

namespace diabolo::cli {
namespace {

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
  Config config = layered_config(preset, config_file.value_or(fallback_file));
  override(config);
  return config;
}

void ConfigArguments::override(Config& config) const {
  for (const std::string& pair : set) set_config_pair(config, pair);
  for (size_t i = 0; i < flags.size(); ++i)
    if (flags[i]) set_flag(config, kKeyFlags[i], *flags[i]);
}

}  // namespace diabolo::cli
