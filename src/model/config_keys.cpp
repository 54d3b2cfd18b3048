// The list of configuration keys: where each lives in the tree, its type, range and meaning.
#include <algorithm>
#include <type_traits>

#include "model/code.h"
#include "model/config.h"
#include "model/term.h"

namespace diabolo {
namespace {

// A field of the tree, as a functor that works for a const and a changeable one.
#define FIELD(path)      \
  [](auto& c) -> auto& { \
    return c.path;       \
  }

template <class T, class Field>
ConfigKey field_key(ConfigType type, const char* table, const char* name, const char* meaning,
                    double low, double high, Field field) {
  return {.table = table,
          .name = name,
          .type = type,
          .meaning = meaning,
          .low = low,
          .high = high,
          .get = [field](const Config& c) -> ConfigValue { return static_cast<T>(field(c)); },
          .set =
              [field](Config& c, const ConfigValue& v) {
                auto& place = field(c);
                place = static_cast<std::remove_cvref_t<decltype(place)>>(std::get<T>(v));
              }};
}

template <class Field>
ConfigKey bool_key(const char* table, const char* name, const char* meaning, Field field) {
  return field_key<bool>(ConfigType::kBool, table, name, meaning, 0, 0, field);
}

template <class Field>
ConfigKey int_key(const char* table, const char* name, const char* meaning, double low, double high,
                  Field field) {
  return field_key<int64_t>(ConfigType::kInt, table, name, meaning, low, high, field);
}

template <class Field>
ConfigKey float_key(const char* table, const char* name, const char* meaning, double low,
                    double high, Field field) {
  return field_key<double>(ConfigType::kFloat, table, name, meaning, low, high, field);
}

template <class Field>
ConfigKey text_key(const char* table, const char* name, const char* meaning, Field field) {
  return field_key<std::string>(ConfigType::kText, table, name, meaning, 0, 0, field);
}

template <class Field>
ConfigKey list_key(const char* table, const char* name, const char* meaning, double low,
                   double high, Field field) {
  return field_key<std::vector<int64_t>>(ConfigType::kIntList, table, name, meaning, low, high,
                                         field);
}

// "dense width (numbers of its rows, such as 128 or 4x4x8): every number from …".
std::string blocks_text() {
  std::string text;
  for (const BlockDef* def : block_defs()) {
    text += cat("; ", def->name);
    for (const BlockOption& option : def->options) {
      std::string said = option.words.empty() ? option.name : "";
      for (const char* word : option.words) said += cat(said.empty() ? "" : "|", word);
      text += cat(" ", said, " (", option.meaning, ")");
    }
    text += cat(": ", def->what);
  }
  return text;
}

template <class Field>
ConfigKey lines_key(const char* table, const char* name, const std::string& meaning, Field field) {
  ConfigKey key =
      field_key<std::vector<std::string>>(ConfigType::kTextList, table, name, "", 0, 0, field);
  key.meaning = meaning;
  key.applies = [](const Config&) { return true; };
  return key;
}

// How a field that has named values is numbered: in the order of Names. An optional one has "auto"
// as its first name.
template <class T>
struct Numbered {
  static size_t index(const T& value) { return static_cast<size_t>(value); }
  static void assign(T& field, size_t index) { field = static_cast<T>(index); }
};
template <class T>
struct Numbered<std::optional<T>> {
  static size_t index(const std::optional<T>& value) {
    return value ? static_cast<size_t>(*value) + 1 : 0;
  }
  static void assign(std::optional<T>& field, size_t index) {
    field.reset();
    if (index > 0) field = static_cast<T>(index - 1);
  }
};

template <class Names, class Field>
ConfigKey choice_key(const char* table, const char* name, const char* meaning, Names, Field field) {
  return {.table = table,
          .name = name,
          .type = ConfigType::kChoice,
          .meaning = meaning,
          .choices = {std::begin(Names::kNames), std::end(Names::kNames)},
          .get = [field](const Config& c) -> ConfigValue {
            const auto& place = field(c);
            using T = std::remove_cvref_t<decltype(place)>;
            return std::string(Names::kNames[Numbered<T>::index(place)]);
          },
          .set =
              [field](Config& c, const ConfigValue& v) {
                auto& place = field(c);
                using T = std::remove_cvref_t<decltype(place)>;
                for (size_t i = 0; i < std::size(Names::kNames); ++i)
                  if (std::get<std::string>(v) == Names::kNames[i]) Numbered<T>::assign(place, i);
              }};
}

#define NAMES(type, ...)                                   \
  struct type {                                            \
    static constexpr const char* kNames[] = {__VA_ARGS__}; \
  }

NAMES(ScaleNames, "auto", "unit", "standard", "minmax", "none");
NAMES(BadValueNames, "error", "zero", "mean", "skip");
NAMES(HeaderNames, "auto", "yes", "no");
NAMES(SeparatorNames, "auto", "comma", "semicolon", "tab");
NAMES(CorruptionNames, "none", "gaussian", "masking");
NAMES(ClipNames, "auto", "unit", "none");
NAMES(PrecisionNames, "f32", "tf32", "bf16");
NAMES(PolicyNames, "strict", "fast");
NAMES(OptimizerNames, "adam", "adamw", "sgd");
NAMES(ScheduleNames, "constant", "cosine", "step");
NAMES(CodeTypeNames, "f32", "f16", "bf16");
struct ActivationNames {
  static constexpr auto& kNames = kernels::kActivationNames;
};
struct OutputNames {
  static constexpr auto kNames = [] {
    std::array<const char*, kernels::kActivationCount + 1> names = {"auto"};
    std::ranges::copy(kernels::kActivationNames, names.begin() + 1);
    return names;
  }();
};
struct LossNames {
  static constexpr auto& kNames = kernels::kLossNames;
};

template <>
struct Numbered<DType> {  // in the order of CodeTypeNames
  static constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBf16};
  static size_t index(DType value) {
    return value == DType::kF32 ? 0 : value == DType::kF16 ? 1 : 2;
  }
  static void assign(DType& field, size_t index) { field = kTypes[index]; }
};

constexpr double kMaxCount = 1e15;
constexpr double kMaxSeed = 9007199254740992.0;  // 2^53: exact in JSON everywhere

// Absent from what is stored until somebody says something else: files of versions that did not
// have the key stay as they were.
ConfigKey later(ConfigKey key) {
  key.applies = [](const Config&) { return true; };
  return key;
}

std::vector<ConfigKey> data_keys() {
  return {
      text_key("data", "train", "file that was trained on", FIELD(data.train)),
      text_key("data", "labels",
               "of the rows trained on, 0: ordinary; for evaluate on the same file",
               FIELD(data.labels)),
      choice_key("data", "scale",
                 "scaling of features; auto: unit for images (u8 or u16 rows of two axes or more), "
                 "else standard",
                 ScaleNames{}, FIELD(data.scale)),
      choice_key("data", "on_bad_value", "what to do with NaN and infinity", BadValueNames{},
                 FIELD(data.on_bad_value)),
      text_key("data", "format", "format of the file; empty: by its content", FIELD(data.format)),
      text_key("data", "dtype", "element type of a raw file, or auto", FIELD(data.dtype)),
      list_key("data", "shape", "shape of one row of a raw file", 1, kMaxCount, FIELD(data.shape)),
      later(text_key("data", "label_column",
                     "column of a table, by name or number from 0, that holds labels",
                     FIELD(data.table.columns.label))),
      later(text_key("data", "id_column",
                     "column of a table that names its rows; goes through to results",
                     FIELD(data.table.columns.id))),
      later(text_key("data", "drop_columns",
                     "columns of a table that are left out, with commas between them",
                     FIELD(data.table.columns.drop))),
      later(choice_key("data", "header", "whether a table's first line names its columns",
                       HeaderNames{}, FIELD(data.table.header))),
      later(choice_key("data", "separator", "between the cells of a table of text",
                       SeparatorNames{}, FIELD(data.table.separator))),
  };
}

ConfigKey code_kind_key() {
  ConfigKey key = text_key("model.code", "kind", "kind of code", FIELD(model.code.kind));
  key.type = ConfigType::kChoice;
  for (const CodeDef* def : code_defs()) {
    key.choices.emplace_back(def->name);
    key.meaning += cat("; ", def->name, ": ", def->what);
  }
  return key;
}

std::vector<ConfigKey> encoder_keys() {
  return {
      text_key("model", "preset", "preset that the configuration began as", FIELD(model.preset)),
      lines_key("model.encoder", "layers",
                cat("hidden layers, a line each: \"dense 128\", \"dense 64 tanh\"", blocks_text()),
                FIELD(model.encoder.layers)),
      list_key("model.encoder", "hidden", "their widths, where there are no lines: dense layers", 1,
               kMaxWidth, FIELD(model.encoder.hidden)),
      choice_key("model.encoder", "activation", "of the encoder's hidden layers", ActivationNames{},
                 FIELD(model.encoder.activation)),
      float_key("model.encoder", "dropout", "share of hidden outputs dropped in training", 0, 0.99,
                FIELD(model.encoder.dropout)),
      code_kind_key(),
      int_key("model.code", "size", "numbers per code", 1, kMaxWidth, FIELD(model.code.size)),
      choice_key("model.code", "activation", "of the code", ActivationNames{},
                 FIELD(model.code.activation)),
  };
}

std::vector<ConfigKey> decoder_keys() {
  return {
      bool_key("model.decoder", "mirror", "layers are the encoder's, each inverted, from the last",
               FIELD(model.decoder.mirror)),
      lines_key("model.decoder", "layers",
                "a line each, needs mirror = false; if the last does not give a row, a dense layer "
                "that does follows",
                FIELD(model.decoder.layers)),
      list_key("model.decoder", "hidden", "widths of hidden layers; needs mirror = false", 1,
               kMaxWidth, FIELD(model.decoder.hidden)),
      choice_key("model.decoder", "activation", "of the decoder's hidden layers", ActivationNames{},
                 FIELD(model.decoder.activation)),
      choice_key("model.decoder", "output",
                 "of the last layer; auto: sigmoid for unit scale, else "
                 "identity",
                 OutputNames{}, FIELD(model.decoder.output)),
      float_key("model.decoder", "dropout", "share of hidden outputs dropped in training", 0, 0.99,
                FIELD(model.decoder.dropout)),
      bool_key("model.decoder", "tied", "weights are the encoder's, transposed",
               FIELD(model.decoder.tied)),
  };
}

std::vector<ConfigKey> corruption_keys() {
  return {
      choice_key("model.corruption", "kind", "noise on the training inputs", CorruptionNames{},
                 FIELD(model.corruption.kind)),
      float_key("model.corruption", "amount",
                "deviation of the noise in scaled units, or share of "
                "features masked",
                0, 1e6, FIELD(model.corruption.amount)),
      choice_key("model.corruption", "clip",
                 "range of noisy inputs; unit: [0,1]; auto: unit for "
                 "unit scale",
                 ClipNames{}, FIELD(model.corruption.clip)),
  };
}

std::vector<ConfigKey> loss_keys() {
  return {choice_key("model.loss", "kind", "reconstruction loss, mean over all elements",
                     LossNames{}, FIELD(model.loss.kind))};
}

std::vector<ConfigKey> train_keys() {
  return {
      int_key("train", "epochs", "passes over the data", 1, 1e9, FIELD(train.epochs)),
      int_key("train", "batch_size", "rows per step", 1, 65536, FIELD(train.batch_size)),
      int_key("train", "seed", "of initial weights, order and noise", 0, kMaxSeed,
              FIELD(train.seed)),
      choice_key("train", "precision", "of products", PrecisionNames{}, FIELD(train.precision)),
      choice_key("train", "policy", "fast: kernels that choose by batch size are allowed",
                 PolicyNames{}, FIELD(train.fast_policy)),
      text_key("train", "device", "auto, cpu, cuda or cuda:N", FIELD(train.device)),
      int_key("train", "threads", "of the CPU, at most all; 0: all, within a CPU quota", 0, 65536,
              FIELD(train.threads)),
      text_key("train", "validation", "file, or fraction of the rows, such as \"0.1\"",
               FIELD(train.validation)),
      int_key("train", "patience",
              "epochs without a better validation loss before stopping; 0: "
              "never stop",
              0, 1e9, FIELD(train.patience)),
      float_key("train", "checkpoint_seconds",
                "time between checkpoints; longer where writing them would take more than a "
                "twentieth of it; 0: whenever possible",
                0, 1e9, FIELD(train.checkpoint_seconds)),
  };
}

std::vector<ConfigKey> optimizer_keys() {
  return {
      choice_key("optimizer", "kind", "rule of the update", OptimizerNames{},
                 FIELD(optimizer.kind)),
      float_key("optimizer", "learning_rate", "step size", 0, 1e6, FIELD(optimizer.learning_rate)),
      float_key("optimizer", "beta1", "decay of the first moment", 0, 0.9999999,
                FIELD(optimizer.beta1)),
      float_key("optimizer", "beta2", "decay of the second moment", 0, 0.9999999,
                FIELD(optimizer.beta2)),
      float_key("optimizer", "epsilon", "added to the root of the second moment", 0, 1,
                FIELD(optimizer.epsilon)),
      float_key("optimizer", "weight_decay", "L2 for adam and sgd, decoupled for adamw", 0, 1e6,
                FIELD(optimizer.weight_decay)),
      float_key("optimizer", "momentum", "of sgd", 0, 0.9999999, FIELD(optimizer.momentum)),
      float_key("optimizer", "clip_norm", "longest gradient, all parameters together; 0: any", 0,
                1e30, FIELD(optimizer.clip_norm)),
  };
}

std::vector<ConfigKey> schedule_and_output_keys() {
  return {
      choice_key("schedule", "kind", "course of the learning rate", ScheduleNames{},
                 FIELD(schedule.kind)),
      int_key("schedule", "warmup_steps", "steps over which the rate rises from 0", 0, 1e12,
              FIELD(schedule.warmup_steps)),
      float_key("schedule", "final_fraction", "cosine: of the learning rate, at the end", 0, 1,
                FIELD(schedule.final_fraction)),
      int_key("schedule", "step_epochs", "step: epochs between changes", 1, 1e9,
              FIELD(schedule.step_epochs)),
      float_key("schedule", "step_factor", "step: what the rate is multiplied by", 0, 1,
                FIELD(schedule.step_factor)),
      float_key("output", "quantile",
                "of the scores of validation, else training rows: the threshold", 0, 1,
                FIELD(output.quantile)),
      choice_key("output", "code_dtype", "type of codes in files", CodeTypeNames{},
                 FIELD(output.code_dtype)),
  };
}

#undef FIELD
#undef NAMES

std::deque<ConfigKey> all_keys() {
  std::deque<ConfigKey> keys;
  for (const auto& part :
       {data_keys(), encoder_keys(), code_keys(), decoder_keys(), corruption_keys(), penalty_keys(),
        loss_keys(), train_keys(), optimizer_keys(), schedule_and_output_keys()})
    keys.insert(keys.end(), part.begin(), part.end());
  return keys;
}

}  // namespace

std::deque<ConfigKey>& changeable_config_keys() {
  static std::deque<ConfigKey> keys = all_keys();
  return keys;
}

const std::deque<ConfigKey>& config_keys() {
  return changeable_config_keys();
}

}  // namespace diabolo
