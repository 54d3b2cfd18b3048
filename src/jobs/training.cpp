#include "jobs/training.h"

#include "base/file.h"
#include "base/file_writer.h"
#include "data/row_fit.h"
#include "jobs/open.h"
#include "model/config_toml.h"
#include "model/model_texts.h"
#include "train/train_data.h"
#include "train/training_identity.h"

namespace diabolo {
namespace {

// Nothing where there is none that can be read.
std::optional<Config> earlier_config(const RunDirectory& directory) {
  if (!path_exists(directory.config())) return std::nullopt;
  try {
    Config before;
    assign(read_config_toml(directory.config()), before);
    return before;
  } catch (const Error&) {
    return std::nullopt;
  }
}

// A checkpoint of another training is refused in any case; the configuration beside it tells what
// is not as it was.
void check_same_training(const RunDirectory& directory, const Config& before, const Config& now) {
  const std::string changes = changes_of_training(before, now);
  if (!changes.empty())
    throw Error(ErrorCode::kModel, cat(directory.checkpoint(), ": belongs to a training with ",
                                       changes, "; leave that as it was, or use --overwrite"));
}

// The columns' names, as far as a model can carry them.
std::vector<std::string> usable_names(const Dataset& data, const Log& log) {
  try {
    check_texts({.feature_names = data.feature_names(), .metadata = {}}, data.x().row.elems());
    return data.feature_names();
  } catch (const Error& error) {
    log.warning(data.name(), ": column names are not kept (", error.what(),
                "); columns in another order will not be noticed");
    return {};
  }
}

}  // namespace

// Another file's name would stand in config.toml and in the model, and --resume would look for it.
void require_utf8(const Config& config) {
  for (const ConfigKey& key : config_keys()) {
    const ConfigValue value = key.get(config);
    const auto* text = std::get_if<std::string>(&value);
    if (text && !is_utf8(*text))
      throw Error(ErrorCode::kUsage, cat(key.path(), ": ", value_text(value),
                                         " is not UTF-8, which config.toml and the model keep; "
                                         "rename the file, or link to it by another name"));
  }
}

std::unique_ptr<Dataset> open_validation(const Config& config, const Dataset& data) {
  const std::string& text = config.train.validation;
  if (text.empty() || validation_fraction(config)) return nullptr;
  const bool is_raw = config.data.dtype != "auto" && !config.data.shape.empty();
  OpenOptions options;
  options.usual = usual_reading(config.data, data);
  options.usual.format = config.data.format.empty() && is_raw ? "raw" : config.data.format;
  return open_dataset(text, options);
}

TrainResult run_training(Backend& backend, const Config& asked, const Dataset& data,
                         const Dataset* validation, TrainOptions options,
                         TrainCallbacks callbacks) {
  Config config = asked;
  config.data.table.columns = data.columns();  // numbers are of this file, names of others too
  require_utf8(config);
  for (const std::string& line : idle_keys(asked)) options.log.warning(line);
  say_reading(data, options.log);
  if (validation) {
    say_reading(*validation, options.log);
    require_columns_fit(data.feature_names(), *validation, options.log);
  }
  if (!options.resume && options.texts.feature_names.empty())
    options.texts.feature_names = usable_names(data, options.log);
  if (options.directory && options.resume) {
    if (const auto before = earlier_config(*options.directory)) {
      check_same_training(*options.directory, *before, resolved(config, default_scale(data)));
      options.renamed = renamed_files(*before, config);
    }
  }
  if (options.directory) {
    callbacks.resolved = [path = options.directory->config()](const Config& ready) {
      write_file(path, config_toml(ready));
    };
  }
  return train(backend, config, data, validation, options, callbacks);
}

}  // namespace diabolo
