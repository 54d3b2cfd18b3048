#include "cli/train_config.h"

#include "model/presets.h"

namespace diabolo::cli {
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
