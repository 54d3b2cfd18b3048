// Options that several commands share, and what becomes of them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "cli/arguments.h"
#include "cli/terminal.h"
#include "data/dataset.h"
#include "infer/inference.h"
#include "jobs/open.h"
#include "model/model_file.h"

namespace diabolo::cli {

// --json --quiet --verbose --progress --color
struct OutputOptions : TerminalOptions {
  bool json = false;
  std::string command;  // whose options these are

  void describe(Arguments& arguments, bool has_progress);
};

// --device --threads --precision --policy; empty: not given.
struct DeviceOptions {
  std::optional<std::string> device, precision, policy;
  std::optional<int64_t> threads;

  void describe(Arguments& arguments);
};

// A flag that sets one key of the configuration.
struct KeyFlag {
  const char* flag;
  const char* key;
  const char* type;
  const char* meaning = nullptr;  // null: the key's
};

// How data files are read.
inline constexpr std::array kReadingFlags = {
    KeyFlag{"--format", "data.format", "NAME", "of the input; else by its content and name"},
    KeyFlag{"--dtype", "data.dtype", "TYPE", "of a raw file or a table: f32, u8 ..."},
    KeyFlag{"--shape", "data.shape", "N,...", "of one row of a raw file, e.g. 28,28"},
    KeyFlag{"--on-bad-value", "data.on_bad_value", "error|zero|mean|skip",
            "what to do with NaN, infinity and numbers beyond f32"},
    KeyFlag{"--label-column", "data.label_column", "COLUMN", "holds labels, is no feature"},
    KeyFlag{"--id-column", "data.id_column", "COLUMN",
            "names the rows; goes through to a .csv output"},
    KeyFlag{"--drop-columns", "data.drop_columns", "COLUMN,...", "left out"},
    KeyFlag{"--header", "data.header", "auto|yes|no", "whether the first line is names"},
    KeyFlag{"--separator", "data.separator", "auto|comma|semicolon|tab", "between cells"},
};
inline constexpr const char* kFirstTableFlag = "--label-column";

// Sets the key; errors name the flag.
void set_flag(Config& config, const KeyFlag& flag, const std::string& text);

// Those that were given of kReadingFlags.
struct DataOptions {
  std::array<std::optional<std::string>, kReadingFlags.size()> texts;

  void describe(Arguments& arguments);
  bool has(std::string_view flag) const;
};

// --allow-unverified
struct ModelOptions {
  bool allow_unverified = false;

  void describe(Arguments& arguments);
};

// What a command says about the device that it has opened: always, or only with --verbose and where
// a GPU that is there is left unused.
enum class DeviceLine { kAlways, kWhereItMatters };
std::unique_ptr<Backend> open_backend(const std::string& device, int64_t threads,
                                      Terminal& terminal,
                                      DeviceLine says = DeviceLine::kWhereItMatters);

// The part of a configuration that inference reads: the defaults with the options given.
TrainConfig inference_config(const DeviceOptions& options);
InferenceOptions inference_options(const TrainConfig& config);

// The model of MODEL, with a warning where it is unverified.
ModelFile open_model(const std::string& path, const ModelOptions& options, Terminal& terminal);

// "28,28" as extents. Throws Error{kUsage}.
std::vector<int64_t> shape_from_text(const std::string& text);
// The defaults with the options given.
DataConfig data_config(const DataOptions& options);

// "npy|idx|csv|raw"
std::string format_choices();

// How a command on a model opens a file whose rows are `row` where the file does not say: raw files
// need no options then. Columns of a table are taken for what they were in the training's.
std::unique_ptr<Dataset> open_rows(const std::string& path, const DataOptions& options,
                                   const ModelFile& model, const TensorDesc& row,
                                   RowsAre rows = RowsAre::kData);
// --on-bad-value, else the model's own.
BadValue bad_value(const DataOptions& options, const ModelFile& model);

}  // namespace diabolo::cli
