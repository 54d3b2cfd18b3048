#include "train/training_plan.h"

#include <algorithm>

#include "model/training_graph.h"
#include "ops/shuffle.h"
#include "ops/training.h"

namespace diabolo {

namespace {

constexpr uint64_t kSlots = 2;

uint64_t at_most(uint64_t batch, uint64_t rows) {
  return rows > 0 ? std::min(batch, rows) : batch;
}

}  // namespace

TrainingPlan::TrainingPlan(const DeviceInfo& device, const Config& config, const Network& network,
                           const RowsToRead& train, const std::optional<RowsToRead>& validation,
                           bool is_resident)
    : device_(device),
      config_(config),
      network_(network),
      train_(train),
      validation_(validation),
      is_resident_(is_resident),
      batch_rows_(at_most(static_cast<uint64_t>(config.train.batch_size), train.rows)) {}

uint64_t TrainingPlan::total_steps() const {
  return steps_per_epoch() * static_cast<uint64_t>(config_.train.epochs);
}

uint64_t TrainingPlan::validation_batch_rows() const {
  return at_most(batch_rows_, validation_ ? validation_->rows : 0);
}

std::vector<StateSpec> TrainingPlan::states() const {
  std::vector<StateSpec> out = training_states(network_, config_);
  if (is_resident_) {
    out.push_back({model_names::kOrder, order_desc()});
    out.push_back({model_names::kOrderState, step_state_desc()});
  }
  if (validation_) out.push_back({model_names::kValidationState, step_state_desc()});
  return out;
}

TensorDesc TrainingPlan::order_desc() const {
  return TensorDesc(DType::kU32, {static_cast<int64_t>(train_.rows)});
}

uint64_t TrainingPlan::row_bytes(const RowsToRead& rows) const {
  return static_cast<uint64_t>(network_.features) *
         (rows.source == Source::kRawU8 ? sizeof(uint8_t) : sizeof(float));
}

Plan TrainingPlan::step(uint64_t batch) const {
  TrainingGraphOptions build;
  build.rows = static_cast<int64_t>(batch);
  build.precision = config_.train.precision;
  build.source = train_.source;
  build.resident_rows = is_resident_ ? static_cast<int64_t>(train_.rows) : 0;
  build.optimizer = config_.optimizer.rule();
  return Plan::compile(training_graph(config_.model, network_, build), device_,
                       policy_of(config_.train));
}

Plan TrainingPlan::order() const {
  Graph graph;
  const ValueId state = graph.add_state(model_names::kOrderState, step_state_desc());
  const ValueId order = graph.add_state(model_names::kOrder, order_desc());
  graph.add_into(kShuffle, ShuffleAttrs{static_cast<int64_t>(train_.rows)}, {&state, 1},
                 {&order, 1}, "order of the rows");
  return Plan::compile(graph, device_, policy_of(config_.train));
}

Plan TrainingPlan::validation(uint64_t batch) const {
  TrainingGraphOptions build;
  build.rows = static_cast<int64_t>(batch);
  build.precision = config_.train.precision;
  if (validation_) build.source = validation_->source;
  return Plan::compile(validation_graph(config_.model, network_, build), device_,
                       policy_of(config_.train));
}

uint64_t TrainingPlan::store_bytes() const {
  return diabolo::store_bytes(network_, states());
}

std::vector<Plan> TrainingPlan::all() const {
  std::vector<Plan> plans;
  plans.push_back(step(batch_rows_));
  if (tail_rows() > 0) plans.push_back(step(tail_rows()));
  if (is_resident_ && train_.rows > 0) plans.push_back(order());
  if (!validation_) return plans;
  const uint64_t batch = validation_batch_rows();
  for (const uint64_t rows : {batch, validation_->rows % batch})
    if (rows > 0) plans.push_back(validation(rows));
  return plans;
}

uint64_t TrainingPlan::arena_bytes() const {
  uint64_t bytes = 0;
  for (const Plan& plan : all()) bytes = std::max(bytes, plan.arena_bytes());
  return bytes;
}

uint64_t TrainingPlan::zeroed_bytes() const {
  uint64_t bytes = 0;
  for (const Plan& plan : all()) bytes += plan.zeroed_bytes();
  return bytes;
}

uint64_t TrainingPlan::input_bytes() const {
  const uint64_t rows = is_resident_ ? train_.rows : kSlots * batch_rows_;
  const uint64_t bytes = rows * row_bytes(train_);
  return validation_ ? bytes + validation_batch_rows() * row_bytes(*validation_) : bytes;
}

bool TrainingPlan::fits(uint64_t free_bytes) const {
  const uint64_t needed = store_bytes() + arena_bytes() + zeroed_bytes();
  return needed < free_bytes && input_bytes() < (free_bytes - needed) / 4 * 3;
}

}  // namespace diabolo
