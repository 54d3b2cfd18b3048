// diabolo presets
#include "model/presets.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/options.h"
#include "model/config_toml.h"

namespace diabolo::cli {
namespace {

struct PresetArguments {
  std::string name;
  OutputOptions out;
};

// What sets a preset apart: its values that are not the defaults.
std::string differences(const Config& config) {
  const Config defaults;
  std::string text;
  for (const ConfigKey& key : config_keys()) {
    if (key.path() == "model.preset" || key.get(config) == key.get(defaults)) continue;
    text += cat("    ", key.path(), " = ", value_text(key.get(config)), "\n");
  }
  return text;
}

nlohmann::json json_of(const Preset& preset) {
  return {{"name", preset.name}, {"what", preset.what}, {"config", config_json(preset.make())}};
}

int list(const OutputOptions& out, Terminal& terminal) {
  nlohmann::json json = nlohmann::json::array();
  std::string text;
  for (const Preset& preset : presets()) {
    json.push_back(json_of(preset));
    text += cat(preset.name, ": ", preset.what, "\n", differences(preset.make()));
  }
  text += "diabolo presets NAME prints all of one as TOML\n";
  out.json ? print_json(out, terminal, {{"presets", std::move(json)}}) : print_result(text);
  return 0;
}

int run(const PresetArguments& arguments) {
  Terminal terminal(arguments.out);
  if (arguments.name.empty()) return list(arguments.out, terminal);
  const Config config = preset_config(arguments.name);
  const auto preset = std::ranges::find(presets(), arguments.name, &Preset::name);
  arguments.out.json ? print_json(arguments.out, terminal,
                                  {{"presets", nlohmann::json::array({json_of(*preset)})}})
                     : print_result(config_toml(config, true));
  return 0;
}

}  // namespace

std::function<int()> describe_presets(Arguments& arguments) {
  const auto target = std::make_shared<PresetArguments>();
  arguments.optional_positional("NAME", target->name, "print this one as TOML");
  target->out.describe(arguments, false);
  return [target] { return run(*target); };
}

}  // namespace diabolo::cli
