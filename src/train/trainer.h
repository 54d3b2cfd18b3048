// Training: data and a configuration in, a model out; on the way a run directory that can be
// continued after any kind of end.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/log.h"
#include "data/dataset.h"
#include "graph/executor.h"
#include "model/config.h"
#include "model/model_file.h"
#include "model/term.h"
#include "train/run_directory.h"

namespace diabolo {

struct TrainProgress {
  int64_t epoch = 0;  // under way, from 1
  int64_t epochs = 0;
  uint64_t step = 0;  // done, over the whole training
  uint64_t steps = 0;
  uint64_t samples = 0;  // done, over the whole training
  double samples_per_s = 0;
  double loss = 0;                        // mean of this epoch so far
  TermValues terms;                       // what it is the sum of
  std::optional<double> validation_loss;  // of the last epoch
  double learning_rate = 0;
};

// One line of metrics.jsonl.
struct EpochMetrics {
  int64_t epoch = 0;  // from 1
  uint64_t step = 0;
  uint64_t samples = 0;
  double loss = 0;                        // mean over the epoch's samples, of all terms together
  TermValues terms;                       // what it is the sum of
  std::optional<double> validation_loss;  // of the terms that count there
  double samples_per_s = 0;
  double seconds = 0;        // of training; validation and checkpoints not counted
  double learning_rate = 0;  // of the last step

  nlohmann::json json() const;
};

struct TrainCallbacks {
  // Called at least once every second or so and after each epoch; false ends the training with a
  // checkpoint and TrainResult::is_cancelled.
  std::function<bool(const TrainProgress&)> progress;
  std::function<void(const EpochMetrics&)> epoch;
  // The resolved configuration, once, before the first step: for config.toml.
  std::function<void(const Config&)> resolved;
};

enum class Residency { kAuto, kResident, kSlots };

// What does not change the result and is not part of the configuration.
struct TrainOptions {
  // Nothing: in memory only. Its claim is held as long as these options.
  std::optional<RunDirectory> directory;
  bool resume = false;  // from the directory's checkpoint
  // When resuming: files named otherwise than when it began, for the message where that is refused.
  std::string renamed;
  Residency residency = Residency::kAuto;
  Capture capture = Capture::kOn;
  int max_steps_per_launch = 64;
  ModelTexts texts;  // of the model; none when resuming: those of the checkpoint
  Log log;
  FileSystem* fs = nullptr;  // null: the real one
};

struct TrainResult {
  ModelFile model;  // the best by validation, else the last; with its threshold unless cancelled
  bool is_cancelled = false;
  bool is_stopped_early = false;
  int64_t epochs = 0;                 // completed
  uint64_t rows_read = 0;             // of the training data
  uint64_t rows_skipped = 0;          // of these
  uint64_t validation_rows = 0;       // taken from these, or of a file of their own
  std::vector<EpochMetrics> metrics;  // of the epochs done by this call
};

// Trains. `validation` is data of its own, or null; a fraction in config.train.validation takes
// rows from `data` by (seed). Throws Error: kData for bad values by file, row and column before any
// step, kResource with both sizes where the data do not fit in memory, kDiverged after the last
// good state has been saved, kModel for a checkpoint that is damaged or of another training.
TrainResult train(Backend& backend, const Config& config, const Dataset& data,
                  const Dataset* validation, const TrainOptions& options,
                  const TrainCallbacks& callbacks);

// What --dry-run prints: sizes and memory where the device runs, as train() allocates them for
// resident rows; nothing is run. rows: that steps read, without those set aside for validation.
struct TrainEstimate {
  uint64_t rows = 0, validation_rows = 0, features = 0;
  uint64_t parameters = 0;
  uint64_t data_bytes = 0, store_bytes = 0, arena_bytes = 0;
  uint64_t zeroed_bytes = 0;   // that kernels find zeroed and leave so
  uint64_t scoring_bytes = 0;  // at the end, when store and arena of the steps are gone
  uint64_t peak_bytes = 0;     // of all these at once, with the model that is left
  uint64_t steps = 0;
};
TrainEstimate estimate_training(Backend& backend, const Config& config, const Dataset& data,
                                const Dataset* validation);

}  // namespace diabolo
