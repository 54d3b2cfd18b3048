// The state of a training between two steps, on disk: what is loaded ends with the same bits as a
// training that was never interrupted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "model/config.h"
#include "model/model_texts.h"

namespace diabolo {

struct Checkpoint {
  // What it is a checkpoint of: resolved configuration, data and shapes. Another one is refused.
  std::string identity;

  uint64_t step = 0;      // done, over the whole training
  int64_t epoch = 0;      // completed
  uint64_t position = 0;  // rows done of the epoch under way
  double loss_sum = 0;    // of the epoch under way: sum over its steps of loss times rows
  double reconstruction_sum = 0, penalty_sum = 0;  // its terms, where there is a penalty
  double seconds = 0;                              // of the epoch under way
  uint64_t metrics_bytes = 0;                      // of metrics.jsonl that belong to it

  ModelTexts texts;  // of the model

  std::optional<double> last_validation_loss;
  double best_validation_loss = 0;
  int64_t best_epoch = 0;  // 0: none yet

  std::vector<float> master;  // flat blobs of the parameter store
  std::vector<float> m, v;    // empty where the optimizer has none
  std::vector<float> best;    // masters of the best epoch; empty without validation
};

// Atomically. Throws Error{kResource}.
void save_checkpoint(const Checkpoint& checkpoint, const std::string& path, FileSystem& fs);

// elems: of the blobs. Throws Error{kModel} for damage and for another identity.
Checkpoint load_checkpoint(const std::string& path, uint64_t elems, const std::string& identity,
                           FileSystem& fs);

}  // namespace diabolo
