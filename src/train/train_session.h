// The device side of a training: parameters, plans and buffers of one model, and the steps that run
// on them. The loop around it is training_steps.cpp.
//
// Two ways to feed the steps, with the same bits:
//   resident  all rows lie where the step runs and a batch is picked by index; several steps are
//             one launch
//   slots     the host picks the rows of a batch into one of two slots, whose copy to the device
//             overlaps the step before
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "graph/executor.h"
#include "model/model.h"
#include "model/parameter_values.h"
#include "ops/training.h"
#include "train/schedule.h"
#include "train/store_blobs.h"
#include "train/train_data.h"
#include "train/trainer.h"
#include "train/training_plan.h"

namespace diabolo {

// What a launch of some steps came to.
struct StepsDone {
  uint64_t first_step = 0;
  std::vector<float> losses;  // of each step, whole
  std::vector<float> terms;   // of each step, as loss_terms has them; empty where there is one
  bool has_halted = false;    // a step was void; the parameters are those before it
  uint64_t halted_step = 0;
};

class TrainSession {
 public:
  // Borrows backend, config and data. Throws Error{kResource, kDevice}.
  TrainSession(Backend& backend, const Config& config, const Network& network,
               const TrainData& data, const TrainOptions& options);
  ~TrainSession();
  TrainSession(TrainSession&&) = delete;

  uint64_t rows() const { return data_.train.rows; }
  uint64_t batch_rows() const { return plan_.batch_rows(); }
  uint64_t steps_per_epoch() const { return plan_.steps_per_epoch(); }
  const Schedule& schedule() const { return schedule_; }
  bool is_resident() const { return plan_.is_resident(); }
  uint64_t store_bytes() const { return store_->bytes(); }
  uint64_t arena_bytes() const { return arena_.bytes(); }

  // Sets the parameters (one vector each); moments are zero at the start.
  void set_parameters(const std::vector<std::vector<float>>& parameters);
  // The parameters and the model's states as they are, and both as Checkpoint::best has them. They
  // wait for all steps.
  ParameterValues parameters();
  StateValues states();
  void read_model(std::vector<std::vector<float>>& out);
  // The blobs of a checkpoint where they lie. After they were filled: refresh_low.
  StoreBlobs blobs() { return {backend_, *store_, *stream_}; }
  void refresh_low() { store_->refresh_low(*stream_); }
  // The part of a flat blob that is one parameter.
  std::span<const float> part_of(const std::vector<float>& blob, size_t index) const;

  // Before the first step of an epoch (counted from 0) or of what is left of it: `step` steps are
  // done in all, `position` rows of this epoch. Waits for what runs.
  void begin_epoch(uint32_t epoch, uint64_t step, uint64_t position);

  // Enqueues `count` whole batches, or the last, shorter one (count 1). At most kMaxInFlight
  // launches may be waiting; the oldest comes first.
  static constexpr size_t kMaxInFlight = 2;
  void launch(int count);
  size_t in_flight() const { return in_flight_; }
  StepsDone wait_for_oldest();

  // Mean loss over the validation rows with the parameters as they are now, of the terms that count
  // in validation, with their whole weights.
  double validate();

 private:
  struct Slot;
  struct Ticket;
  struct Validation;

  bool has_terms() const { return terms_.size() > 1; }
  TensorDesc terms_desc() const { return step_terms_desc(static_cast<int>(terms_.size())); }
  void read(const std::string& name, std::vector<float>& out);
  void take_rows();
  void make_executors();
  void make_validation();
  void write_scalars_until(uint64_t step);
  void write_weights(uint64_t first, uint64_t count);
  void order_on_device(uint32_t epoch);
  void run_resident(int count, bool is_tail);
  void run_from_slots(int count, uint64_t rows);
  void run_from_slot(Slot& slot, uint64_t rows);

  Backend& backend_;
  const Config& config_;
  const Network& network_;
  const TrainData& data_;
  TrainOptions options_;
  const std::vector<TermSpec> terms_;
  const TrainingPlan plan_;
  const Schedule schedule_;

  std::unique_ptr<Stream> stream_, copies_;
  std::unique_ptr<ParameterStore> store_;
  Arena arena_;
  Buffer resident_;  // of the rows; empty on the host, where they are used in place
  std::unique_ptr<Plan> full_plan_, tail_plan_, order_plan_;
  std::unique_ptr<Executor> full_, tail_, order_run_;  // resident
  std::array<std::unique_ptr<Slot>, 2> slots_;
  std::unique_ptr<Validation> validation_;

  std::vector<uint32_t> order_;  // of rows that come through slots
  StagingBuffer staged_order_state_, staged_state_, staged_scalars_, staged_weights_;
  std::array<std::unique_ptr<Ticket>, kMaxInFlight> tickets_;
  uint64_t next_ticket_ = 0;
  size_t in_flight_ = 0;
  uint64_t step_ = 0, position_ = 0;  // of the next launch
  uint64_t scalars_until_ = 0;        // steps before this one have their scalars on the device
};

}  // namespace diabolo
