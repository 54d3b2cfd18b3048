// Configurations as TOML: the key table of model/config.h decides what may be said.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"

namespace diabolo {

// One `key = value` of a file.
struct ConfigAssignment {
  std::string path;  // "model.encoder.hidden"
  ConfigValue value;
  std::string place;  // "my.toml: line 3", for messages
};

inline constexpr uint64_t kMaxConfigBytes = uint64_t{1} << 20;

// In the order of the file's tables. name is for messages. Throws Error{kUsage} "my.toml: line 3:
// …" for what is not TOML, over kMaxConfigBytes, an unknown key (naming the nearest), a value of
// the wrong type or out of range, and for three things that TOML has and no configuration needs:
// inline tables, multi-line strings, keys of more than a few parts.
std::vector<ConfigAssignment> parse_config_toml(std::string_view text, const std::string& name);
// The same of a file, or of standard input ("-").
std::vector<ConfigAssignment> read_config_toml(const std::string& path);

// Sets each in order.
void assign(std::span<const ConfigAssignment> assignments, Config& config);

// Every key with its value, table by table; with meanings, each key has a comment above it that
// gives type and meaning. What parse_config_toml reads from it gives the same configuration.
std::string config_toml(const Config& config, bool with_meanings = false);

}  // namespace diabolo
