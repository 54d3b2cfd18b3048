// The state of a training between two steps, on disk: what is loaded ends with the same bits as a
// training that was never interrupted.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "model/config.h"
#include "model/model_texts.h"
#include "model/safetensors.h"
#include "run/file_stamp.h"

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

  ModelTexts texts;     // of the model
  KnownFile data_file;  // of the rows; for the model's provenance

  // What computed it, as far as last bits depend on it: "the CPU with 2 threads"; empty: not known.
  std::string computed_on;

  std::optional<double> last_validation_loss;
  double best_validation_loss = 0;
  int64_t best_epoch = 0;  // 0: none yet

  std::vector<float> best;  // masters of the best epoch; empty without validation
};

// The flat f32 blobs of a training, wherever they lie: "master", and the optimizer's "m" and "v",
// which are zero before the first step.
class StateBlobs {
 public:
  virtual ~StateBlobs() = default;
  virtual uint64_t elems() const = 0;  // of each
  virtual bool has(const std::string& name) const = 0;
  // Gives the bytes of one in order.
  virtual void read(const std::string& name, const BlockTaker& take) const = 0;
  // Where the bytes of one go.
  virtual BlockTarget target(const std::string& name) = 0;
};

// Atomically, without copies of the blobs; before the first step without those that are zero.
// Throws Error{kResource}.
void save_checkpoint(const Checkpoint& checkpoint, const StateBlobs& blobs, const std::string& path,
                     FileSystem& fs);

// Fills the blobs; before the first step those that the file lacks are left alone. Throws
// Error{kModel} for damage, after which the blobs hold anything, and for an identity that is not
// ours.
Checkpoint load_checkpoint(const std::string& path, StateBlobs& blobs,
                           const std::function<bool(const std::string& identity)>& is_ours,
                           FileSystem& fs);

}  // namespace diabolo
