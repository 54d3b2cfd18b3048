// Names for configurations that people know.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "model/config.h"

namespace diabolo {

struct Preset {
  const char* name;
  const char* what;  // one line
  Config (*make)();
};
std::span<const Preset> presets();

// Throws Error{kUsage}, naming the nearest, for an unknown name.
Config preset_config(std::string_view name);

// File before preset: the preset that is named, else the file's, else "dense", and over it what the
// file says. file: as read_config_toml takes it; empty: none. Throws Error{kUsage}.
Config layered_config(const std::optional<std::string>& preset, const std::string& file);

// "table.key=value", of any key but model.preset, which would have to set the rest too. Throws
// Error{kUsage}, naming the text.
void set_config_pair(Config& config, const std::string& pair);

}  // namespace diabolo
