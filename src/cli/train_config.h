// The configuration of a training from the command line: flag before file before preset.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "cli/arguments.h"
#include "cli/options.h"
#include "model/config.h"

namespace diabolo::cli {

inline constexpr std::array kTrainingFlags = {
    KeyFlag{"--epochs", "train.epochs", "N"},
    KeyFlag{"--batch-size", "train.batch_size", "N"},
    KeyFlag{"--learning-rate", "optimizer.learning_rate", "X"},
    KeyFlag{"--code-size", "model.code.size", "N"},
    KeyFlag{"--validation", "train.validation", "FILE|FRACTION"},
    KeyFlag{"--labels", "data.labels", "FILE"},
    KeyFlag{"--quantile", "output.quantile", "X"},
    KeyFlag{"--seed", "train.seed", "N"},
    KeyFlag{"--threads", "train.threads", "N"},
    KeyFlag{"--device", "train.device", "DEVICE"},
    KeyFlag{"--precision", "train.precision", "f32|tf32|bf16"},
    KeyFlag{"--policy", "train.policy", "strict|fast"},
    KeyFlag{"--scale", "data.scale", "auto|unit|standard|minmax|none"},
};
inline constexpr auto kKeyFlags = [] {
  std::array<KeyFlag, kTrainingFlags.size() + kReadingFlags.size()> all{};
  std::ranges::copy(kReadingFlags, std::ranges::copy(kTrainingFlags, all.begin()).out);
  return all;
}();

struct ConfigArguments {
  std::optional<std::string> preset, config_file;
  std::vector<std::string> set;  // "table.key=value"
  std::array<std::optional<std::string>, kKeyFlags.size()> flags;

  void describe(Arguments& arguments);

  // Preset, then the file (config_file, else fallback_file where not empty), then --set, then the
  // flags. Throws Error{kUsage}.
  Config config(const std::string& fallback_file = "") const;
  // Only --set and the flags, over a configuration that is there.
  void override(Config& config) const;
};

}  // namespace diabolo::cli
