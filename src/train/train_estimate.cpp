// What a dry run says of a training.
#include <algorithm>

#include "infer/inference.h"
#include "infer/threshold.h"
#include "train/train_data.h"
#include "train/trainer.h"
#include "train/training_plan.h"

namespace diabolo {

namespace {

// Of rows of `data` those that validate, or a file of their own.
std::optional<RowsToRead> validation_rows(const Config& config, const Dataset& data,
                                          const Dataset* validation) {
  if (validation) return RowsToRead{validation->rows().value_or(0), source_of(*validation)};
  if (!validation_fraction(config)) return std::nullopt;
  return RowsToRead{data.rows() ? held_out_rows(config, *data.rows()) : 0, source_of(data)};
}

}  // namespace

TrainEstimate estimate_training(Backend& backend, const Config& config, const Dataset& data,
                                const Dataset* validation) {
  const Config ready = resolved(config, default_scale(data));
  const Network network = Network::of(ready.model, data.x().row);
  if (data.rows() == 0) throw Error(ErrorCode::kData, data.name() + ": has no rows to train on");
  require_scale(data, *ready.data.scale);
  require_weights(loss_terms(ready.model));
  const std::optional<RowsToRead> held = validation_rows(ready, data, validation);
  RowsToRead train{data.rows().value_or(0), source_of(data)};
  if (!validation && held) train.rows -= std::min(train.rows, held->rows);
  const TrainingPlan plan(backend.info(), ready, network, train, held, true);
  TrainEstimate out;
  out.rows = train.rows;
  out.validation_rows = held ? held->rows : 0;
  out.features = static_cast<uint64_t>(network.features);
  out.parameters = network.parameter_count();
  out.steps = plan.total_steps();
  out.data_bytes = plan.input_bytes();
  // The host has all rows that there are, too; those that validate are moved out of the others.
  if (backend.info().space == Space::kHost) {
    if (data.rows()) out.data_bytes += train_rows_bytes(data) - train.rows * plan.row_bytes(train);
    if (held) out.data_bytes += held->rows * plan.row_bytes(*held);
  }
  out.store_bytes = plan.store_bytes();
  out.arena_bytes = plan.arena_bytes();
  out.zeroed_bytes = plan.zeroed_bytes();
  const RowsToRead& scored = held ? *held : train;
  out.scoring_bytes =
      store_bytes(network, inference_states(network, ready.train.precision)) +
      call_bytes(backend, ready.model, network, threshold_options(ready.train, scored.rows),
                 kScoreTask, 0, scored.source, scored.rows);
  // The steps' memory goes when the model is made from it and before the scoring's comes, which has
  // the model's weights in it.
  const uint64_t model_bytes = out.parameters * sizeof(float);
  const uint64_t step_bytes = out.store_bytes + out.arena_bytes + out.zeroed_bytes;
  out.peak_bytes = out.data_bytes + std::max(step_bytes + model_bytes, out.scoring_bytes);
  return out;
}

}  // namespace diabolo
