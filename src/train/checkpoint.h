// The state of a training between two steps, on disk: what is loaded ends with the same bits as a
// training that was never interrupted.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "data/file_stamp.h"
#include "graph/parameter_store.h"
#include "model/config.h"
#include "model/model_texts.h"
#include "model/safetensors.h"
#include "model/term.h"

namespace diabolo {

struct Checkpoint {
  // What it is a checkpoint of: resolved configuration, data and shapes. Another one is refused.
  std::string identity;

  uint64_t step = 0;           // done, over the whole training
  int64_t epoch = 0;           // completed
  uint64_t position = 0;       // rows done of the epoch under way
  double loss_sum = 0;         // of the epoch under way: sum over its steps of loss times rows
  TermValues term_sums;        // its terms, where there are several; read: in any order
  double seconds = 0;          // of the epoch under way
  uint64_t metrics_bytes = 0;  // of metrics.jsonl that belong to it

  ModelTexts texts;     // of the model
  KnownFile data_file;  // of the rows; for the model's provenance

  // What computed it, as far as last bits depend on it: "the CPU with 2 threads"; empty: not known.
  std::string computed_on;

  std::optional<double> last_validation_loss;
  double best_validation_loss = 0;
  int64_t best_epoch = 0;  // 0: none yet

  // The model of the best epoch: one entry per StateBlobs spec that is the model's; empty without
  // validation.
  std::vector<std::vector<float>> best;
};

// What of a training outlives it, wherever it lies: f32, as tensors of a checkpoint are named.
class StateBlobs {
 public:
  virtual ~StateBlobs() = default;
  // The first is all parameters as one blob, "master". No kOfRun.
  virtual std::span<const StateSpec> specs() const = 0;
  // Gives the bytes of one in order.
  virtual void read(size_t index, const BlockTaker& take) const = 0;
  // Where the bytes of one go.
  virtual BlockTarget target(size_t index) = 0;
};

// Whether a checkpoint lacks it, since it is zero before the first step.
inline bool is_left_out(const StateSpec& spec, uint64_t step) {
  return step == 0 && spec.kind == StateKind::kOfOptimizer;
}

// Atomically, without copies of the blobs. Throws Error{kResource}.
void save_checkpoint(const Checkpoint& checkpoint, const StateBlobs& blobs, const std::string& path,
                     FileSystem& fs);

// Fills the blobs; before the first step those that the file lacks are left alone. Throws
// Error{kModel} for damage, after which the blobs hold anything, and for an identity that is not
// ours.
Checkpoint load_checkpoint(const std::string& path, StateBlobs& blobs,
                           const std::function<bool(const std::string& identity)>& is_ours,
                           FileSystem& fs);

}  // namespace diabolo
