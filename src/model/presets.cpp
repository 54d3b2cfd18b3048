#include "model/presets.h"

#include "model/config_toml.h"

namespace diabolo {
namespace {

Config dense() {
  return Config{};  // the defaults are this preset
}

Config denoising() {
  Config config = dense();
  config.model.preset = "denoising";
  config.model.corruption.kind = CorruptionKind::kGaussian;
  config.model.corruption.amount = 0.5;
  config.train.epochs = 10;
  return config;
}

Config deep() {
  Config config = dense();
  config.model.preset = "deep";
  config.model.encoder.hidden = {1000, 500, 250};
  return config;
}

Config vae() {
  Config config = dense();
  config.model.preset = "vae";
  config.data.scale = Scale::kUnit;
  config.model.encoder.hidden = {400};
  config.model.code.kind = "variational";
  config.model.code.size = 20;
  config.model.loss.kind = kernels::Loss::kBce;
  config.train.batch_size = 128;
  return config;
}

Config conv() {
  Config config = dense();
  config.model.preset = "conv";
  config.data.scale = Scale::kUnit;
  config.model.encoder.hidden.clear();
  config.model.encoder.layers = {"conv 32 stride 2", "conv 64 stride 2"};
  config.model.code.size = 64;
  config.train.epochs = 10;
  return config;
}

constexpr Preset kPresets[] = {
    {"dense", "512-256-code 32, ReLU, mean squared error, Adam, 20 epochs", dense},
    {"denoising", "dense, trained to undo Gaussian noise of deviation 0.5, 10 epochs", denoising},
    {"deep", "1000-500-250-code, for codes of few numbers", deep},
    {"vae", "variational: 400-code 20, cross-entropy, images in [0,1], batch 128, 20 epochs", vae},
    {"conv", "convolutional: images in [0,1], 32 and 64 channels, code 64, 10 epochs", conv},
};

}  // namespace

std::span<const Preset> presets() {
  return kPresets;
}

Config preset_config(std::string_view name) {
  std::vector<std::string> names;
  for (const Preset& preset : kPresets) {
    if (preset.name == name) return preset.make();
    names.emplace_back(preset.name);
  }
  throw Error(ErrorCode::kUsage, cat("unknown preset \"", name, "\"; ",
                                     did_you_mean(name, names, "diabolo presets lists them")));
}

namespace {

constexpr const char* kPresetKey = "model.preset";

std::string preset_of(std::span<const ConfigAssignment> assignments) {
  for (const ConfigAssignment& assignment : assignments)
    if (assignment.path == kPresetKey) return std::get<std::string>(assignment.value);
  return "dense";
}

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

}  // namespace

Config layered_config(const std::optional<std::string>& preset, const std::string& file) {
  std::vector<ConfigAssignment> assignments;
  if (!file.empty()) assignments = read_config_toml(file);
  Config config = preset_config(preset ? *preset : preset_of(assignments));
  const std::string name = config.model.preset;
  assign(assignments, config);
  config.model.preset = name;
  return config;
}

void set_config_pair(Config& config, const std::string& pair) {
  const size_t equals = pair.find('=');
  if (equals == std::string::npos)
    throw Error(ErrorCode::kUsage, cat("setting '", pair, "': expected table.key=value"));
  const std::string path = trimmed(pair.substr(0, equals));
  if (path == kPresetKey)
    throw Error(
        ErrorCode::kUsage,
        cat("setting '", pair, "': name the preset by its own option, which sets the rest too"));
  // As a line of the file: epochs = 3, kind = "l1"
  std::string value = trimmed(pair.substr(equals + 1));
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
    value = value.substr(1, value.size() - 2);
  set_config_text(config, path, value);
}

}  // namespace diabolo
