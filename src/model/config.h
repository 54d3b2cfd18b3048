// What a training is told: a tree of plain values, one struct per table of the TOML file, and the
// one list of its keys. The TOML reader and writer, `--set table.key=value`, `--help-config`,
// config.toml and the metadata of a model file are all made from that list.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/dtype.h"
#include "base/error.h"
#include "data/transform.h"
#include "kernels/common/activations.h"
#include "kernels/common/losses.h"
#include "kernels/noise.h"
#include "kernels/optimizer.h"

namespace diabolo {

struct DataConfig {
  std::string train;           // path as given; what evaluate fits PCA on
  std::string labels;          // path, for metrics only
  std::optional<Scale> scale;  // nothing ("auto"): unit for images, else standard
  BadValue on_bad_value = BadValue::kError;
  std::string format;          // empty: by content
  std::string dtype = "auto";  // of raw files
  std::vector<int64_t> shape;  // of one row of a raw file
  TableReading table;
};

struct EncoderConfig {
  std::vector<std::string> layers = {};      // a line each (model/block.h)
  std::vector<int64_t> hidden = {512, 256};  // where there are none: dense layers of these widths
  kernels::Activation activation = kernels::Activation::kRelu;
  double dropout = 0;  // after each hidden layer
};

struct CodeConfig {
  std::string kind = "plain";  // a CodeDef's name (model/code.h)
  int64_t size = 32;
  kernels::Activation activation = kernels::Activation::kIdentity;
};

struct DecoderConfig {
  bool mirror = true;                    // layers invert the encoder's
  std::vector<std::string> layers = {};  // otherwise these lines
  std::vector<int64_t> hidden = {};      // or dense layers of these widths
  kernels::Activation activation = kernels::Activation::kRelu;
  std::optional<kernels::Activation> output;  // nothing ("auto"): sigmoid for unit scale, else none
  double dropout = 0;
  bool tied = false;  // weights are the encoder's, transposed
};

enum class CorruptionKind { kNone, kGaussian, kMasking };
enum class ClipKind { kAuto, kUnit, kNone };  // auto: unit where the scale is unit

struct CorruptionConfig {
  CorruptionKind kind = CorruptionKind::kNone;
  double amount = 0.5;  // deviation in scaled units, or share of features masked
  ClipKind clip = ClipKind::kAuto;
};

struct LossConfig {
  kernels::Loss kind = kernels::Loss::kMse;
};

// Of the type of its ModelOption. (No variant: where copying one of texts and lists runs out of
// memory, gcc 12's destroys what it has not made yet.)
struct OptionValue {
  double number = 0;  // of numbers, and 0 or 1
  std::string text = {};
  std::vector<int64_t> list = {};
};

struct ModelConfig {
  std::string preset = "dense";  // what the configuration began as
  EncoderConfig encoder;
  CodeConfig code;
  DecoderConfig decoder;
  CorruptionConfig corruption;
  LossConfig loss;
  // What kinds of codes and terms bring (ModelOption), by path; what is absent has its default.
  std::map<std::string, OptionValue, std::less<>> options = {};
};

enum class Precision { kF32, kTf32, kBf16 };
const char* name(Precision precision);

struct TrainConfig {
  int64_t epochs = 20;
  int64_t batch_size = 256;
  uint64_t seed = 0;
  Precision precision = Precision::kF32;
  bool fast_policy = false;        // "strict" or "fast"
  std::string device = "auto";     // auto, cpu, cuda, cuda:N
  int64_t threads = 0;             // 0: all
  std::string validation;          // path, or a fraction of the rows such as "0.1"; empty: none
  int64_t patience = 10;           // epochs without a better validation loss; 0: never stop early
  double checkpoint_seconds = 60;  // at least this often; each epoch in any case
};

struct OptimizerConfig {
  kernels::Optimizer kind = kernels::Optimizer::kAdam;
  double learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double weight_decay = 0;
  double momentum = 0.9;  // sgd
  double clip_norm = 0;   // 0: never

  kernels::OptimizerRule rule() const;
};

enum class ScheduleKind { kConstant, kCosine, kStep };

struct ScheduleConfig {
  ScheduleKind kind = ScheduleKind::kConstant;
  int64_t warmup_steps = 0;   // the rate rises linearly over these
  double final_fraction = 0;  // cosine: of the learning rate, at the last step
  int64_t step_epochs = 10;   // step: every so many epochs
  double step_factor = 0.1;   // step: times this
};

struct OutputConfig {
  double quantile = 0.95;          // of the scores of validation, else training rows: the threshold
  DType code_dtype = DType::kF32;  // what encode writes: f32, f16, bf16
};

struct Config {
  DataConfig data;
  ModelConfig model;
  TrainConfig train;
  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  OutputConfig output;
};

using ConfigValue = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>,
                                 std::vector<std::string>>;

enum class ConfigType { kBool, kInt, kFloat, kText, kChoice, kIntList, kTextList };

struct ConfigKey {
  std::string table;  // "model.encoder"
  std::string name;   // "hidden"
  ConfigType type = ConfigType::kBool;
  std::string meaning;       // one line
  double low = 0, high = 0;  // allowed range of a number (or of each in a list), inclusive
  std::vector<std::string> choices = {};  // of kChoice
  std::function<ConfigValue(const Config&)> get = {};
  std::function<void(Config&, const ConfigValue&)> set =
      {};  // of the type's alternative and in range

  // Of a key that is younger than 0.1: where it means anything. Its default is what was done before
  // there was the key. Empty: a key of 0.1, which is in every model and every identity.
  std::function<bool(const Config&)> applies = {};

  std::string path() const;  // "model.encoder.hidden"
};

// A key that a kind of code or a term brings. The tree does not know it: ModelConfig::options holds
// its value by its path.
struct ModelOption {
  std::string table;  // "model.code"
  std::string name;   // "beta"
  std::string meaning;
  ConfigType type = ConfigType::kFloat;  // any but kTextList
  double low = 0, high = 0;              // of a number, or of each in a list; at most 2^53
  std::vector<std::string> choices = {};
  OptionValue standard = {};  // where it is not set

  std::string path() const { return table + "." + name; }
  OptionValue value(const ModelConfig& model) const;
  double number(const ModelConfig& model) const { return value(model).number; }
  int64_t integer(const ModelConfig& model) const {
    return static_cast<int64_t>(value(model).number);
  }
  ConfigKey key(std::function<bool(const Config&)> applies) const;
};

// In the order of the file: tables together, outer before inner. A key stays where it is.
const std::deque<ConfigKey>& config_keys();
const ConfigKey* find_config_key(std::string_view path);  // or null
// For tests of keys that are yet to come.
std::deque<ConfigKey>& changeable_config_keys();
// 'did you mean "train.epochs"?' of the name that is near a mistyped one, by edit distance; where
// none is near, `otherwise`.
std::string did_you_mean(std::string_view name, std::span<const std::string> names,
                         std::string_view otherwise, char quote = '"');

// Sets a key. An integer is taken where a float is wanted. Throws Error{kUsage} "model.code.size:
// expected an integer from 1 to 1048576, found 0"; for an unknown path naming the nearest one.
void set_config(Config& config, std::string_view path, const ConfigValue& value);
// The same from text as after `--set path=`: 3, 0.5, true, [512,256], word.
void set_config_text(Config& config, std::string_view path, std::string_view text);

// "integer", "one of relu, elu …", "list of integers from 1 to 65536": for --help-config.
std::string type_text(const ConfigKey& key);
std::string value_text(const ConfigValue& value);  // as TOML would write it

// {"model": {"encoder": {"hidden": [512, 256] …: every key, but for those that mean nothing here.
nlohmann::json config_json(const Config& config);
// What a model file and the identity of a training hold: without younger keys that do not apply or
// have their default, so that an unknown key in a file always asks for what this version cannot do.
nlohmann::json stored_config_json(const Config& config);
// Keys that are absent keep their defaults. Throws Error{kUsage} for unknown keys and bad values.
Config config_from_json(const nlohmann::json& json);

// Fills what depends on the data (scale, output activation) once that is known and checks what one
// key alone cannot tell (tied weights need mirrored widths; bce needs unit scale and sigmoid).
// Throws Error{kUsage}.
Config resolved(const Config& config, Scale default_scale);

// What was set and means nothing beside another key, a line each: "optimizer.momentum = 0.5 means
// nothing with optimizer.kind = "adam"". Of a configuration that is not resolved.
std::vector<std::string> idle_keys(const Config& config);

}  // namespace diabolo
