// What a training computes and what memory it takes, before any of it is taken: its plans, the
// states of its store, its inputs. The session allocates by it; dry runs and `plan` print it;
// benchmarks and tests build their steps by it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "backend/device_info.h"
#include "graph/plan.h"
#include "model/model.h"

namespace diabolo {

// Rows that steps read.
struct RowsToRead {
  uint64_t rows = 0;  // 0: not known
  Source source = Source::kScaled;
};

class TrainingPlan {
 public:
  // Borrows config, which must be resolved, and network. is_resident: all rows lie where the steps
  // run; else each batch comes through one of two slots.
  TrainingPlan(const DeviceInfo& device, const Config& config, const Network& network,
               const RowsToRead& train, const std::optional<RowsToRead>& validation,
               bool is_resident);

  bool is_resident() const { return is_resident_; }
  uint64_t batch_rows() const { return batch_rows_; }
  uint64_t tail_rows() const { return train_.rows % batch_rows_; }  // 0: the last is as the others
  uint64_t steps_per_epoch() const { return (train_.rows + batch_rows_ - 1) / batch_rows_; }
  uint64_t total_steps() const;
  uint64_t validation_batch_rows() const;

  std::vector<StateSpec> states() const;  // of the store, beside the parameters
  uint64_t row_bytes(const RowsToRead& rows) const;

  // Compiled when asked for.
  Plan step(uint64_t batch) const;
  Plan validation(uint64_t batch) const;
  Plan order() const;  // of an epoch's rows; resident ones

  // Where the steps run.
  uint64_t store_bytes() const;
  uint64_t arena_bytes() const;   // that all plans share
  uint64_t zeroed_bytes() const;  // that each has its own of
  uint64_t input_bytes() const;   // rows that are resident, or slots; a batch to validate on
  // Whether all that is taken in so many bytes, with something to spare. Of resident rows, whose
  // order takes memory by the row too.
  bool fits(uint64_t free_bytes) const;

 private:
  TensorDesc order_desc() const;
  std::vector<Plan> all() const;

  DeviceInfo device_;
  const Config& config_;
  const Network& network_;
  RowsToRead train_;
  std::optional<RowsToRead> validation_;
  bool is_resident_;
  uint64_t batch_rows_;
};

}  // namespace diabolo
