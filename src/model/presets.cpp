#include "model/presets.h"

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

constexpr Preset kPresets[] = {
    {"dense", "512-256-code 32, ReLU, mean squared error, Adam, 20 epochs", dense},
    {"denoising", "dense, trained to undo Gaussian noise of deviation 0.5, 10 epochs", denoising},
    {"deep", "1000-500-250-code, for codes of few numbers", deep},
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
  throw Error(ErrorCode::kUsage, cat("unknown preset \"", name, "\"; did you mean \"",
                                     nearest_name(name, names), "\"?"));
}

}  // namespace diabolo
