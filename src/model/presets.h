// Names for configurations that people know.
#pragma once

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

}  // namespace diabolo
