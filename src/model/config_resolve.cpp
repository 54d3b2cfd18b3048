// What depends on the data, and what one key alone cannot tell.
#include "base/error.h"
#include "model/block.h"
#include "model/config.h"
#include "model/presets.h"

namespace diabolo {
namespace {

// The widths that nobody asked for; a preset of another version has those of the defaults.
std::vector<int64_t> preset_hidden(const std::string& name) {
  for (const Preset& preset : presets())
    if (preset.name == name) return preset.make().model.encoder.hidden;
  return EncoderConfig().hidden;
}

// Lines that no layer has, and lines beside widths.
void check_layers(const ModelConfig& model) {
  const auto check = [](const std::string& table, const std::vector<std::string>& lines,
                        bool has_widths) {
    for (const std::string& line : lines) LayerLine::parse(line, table + ".layers");
    if (!lines.empty() && has_widths)
      throw Error(ErrorCode::kUsage, cat(table, ".hidden: expected none beside ", table,
                                         ".layers; set it to [], or the layers"));
  };
  const auto& hidden = model.encoder.hidden;
  const bool is_told = !hidden.empty() && hidden != preset_hidden(model.preset);
  check("model.encoder", model.encoder.layers, is_told);
  check("model.decoder", model.decoder.layers, !model.decoder.hidden.empty());
  if (model.decoder.mirror && !model.decoder.layers.empty())
    throw Error(ErrorCode::kUsage,
                "model.decoder.layers: set model.decoder.mirror = false to use them");
}

// Keys whose meaning hangs on that of another, in 0.1 already, so that they cannot be refused.
struct IdleKeys {
  const char* of;  // the key that would have to be otherwise
  std::vector<const char*> keys;
  bool are_idle;
};
std::vector<IdleKeys> idle_keys_of(const Config& config) {
  const bool is_sgd = config.optimizer.kind == kernels::Optimizer::kSgd;
  const ScheduleKind schedule = config.schedule.kind;
  return {
      {"optimizer.kind", {"optimizer.momentum"}, !is_sgd},
      {"optimizer.kind", {"optimizer.beta1", "optimizer.beta2", "optimizer.epsilon"}, is_sgd},
      {"schedule.kind", {"schedule.final_fraction"}, schedule != ScheduleKind::kCosine},
      {"schedule.kind",
       {"schedule.step_epochs", "schedule.step_factor"},
       schedule != ScheduleKind::kStep},
      {"model.corruption.kind",
       {"model.corruption.amount"},
       config.model.corruption.kind == CorruptionKind::kNone},
  };
}

}  // namespace

std::vector<std::string> idle_keys(const Config& config) {
  std::vector<std::string> out;
  const Config standard;
  for (const IdleKeys& some : idle_keys_of(config))
    for (const char* path : some.keys) {
      const ConfigKey& key = *find_config_key(path);
      if (!some.are_idle || key.get(config) == key.get(standard)) continue;
      out.push_back(cat(path, " = ", value_text(key.get(config)), " means nothing with ", some.of,
                        " = ", value_text(find_config_key(some.of)->get(config))));
    }
  return out;
}

Config resolved(const Config& config, Scale default_scale) {
  Config out = config;
  const auto refuse = [](const std::string& text) { throw Error(ErrorCode::kUsage, text); };
  if (!out.data.scale) out.data.scale = default_scale;
  const bool is_unit = *out.data.scale == Scale::kUnit;
  auto& decoder = out.model.decoder;
  if (!decoder.output)
    decoder.output = is_unit ? kernels::Activation::kSigmoid : kernels::Activation::kIdentity;
  auto& clip = out.model.corruption.clip;
  if (clip == ClipKind::kAuto) clip = is_unit ? ClipKind::kUnit : ClipKind::kNone;

  check_layers(out.model);
  const auto& encoder = out.model.encoder;
  // Beside lines, the encoder's widths mean nothing.
  const bool has_widths = encoder.layers.empty();
  const std::vector<int64_t> mirrored(encoder.hidden.rbegin(), encoder.hidden.rend());
  const bool is_reversed = has_widths && decoder.hidden == mirrored;
  if (decoder.mirror && !decoder.hidden.empty() && !is_reversed)
    refuse("model.decoder.hidden: set model.decoder.mirror = false to use it");
  if (decoder.tied && !decoder.mirror && (!decoder.layers.empty() || (has_widths && !is_reversed)))
    refuse(
        "model.decoder.tied: tied weights need the encoder's widths, reversed; set "
        "model.decoder.mirror = true");
  if (out.model.loss.kind == kernels::Loss::kBce) {
    if (*decoder.output != kernels::Activation::kSigmoid)
      refuse("model.loss.kind: bce needs model.decoder.output = \"sigmoid\"");
    if (*out.data.scale == Scale::kStandard)
      refuse(
          "model.loss.kind: bce needs targets in [0,1]; use data.scale = \"unit\" or \"minmax\", "
          "or "
          "\"none\" for numbers that lie there");
  }
  if (out.model.corruption.kind == CorruptionKind::kMasking && out.model.corruption.amount > 1)
    refuse("model.corruption.amount: a masked share is at most 1");
  for (const ConfigKey& key : config_keys())
    if (key.applies && !key.applies(out) && key.get(out) != key.get(Config()))
      refuse(cat(key.path(), ": means nothing in this model; leave it out"));
  return out;
}

}  // namespace diabolo
