// What a dry run says of a training.
#include <algorithm>

#include "infer/inference.h"
#include "infer/threshold.h"
#include "train/train_data.h"
#include "train/train_session.h"
#include "train/trainer.h"

namespace diabolo {

TrainEstimate estimate_training(Backend& backend, const Config& config, const Dataset& data) {
  const Config ready = resolved(config, default_scale(data));
  const Network network = Network::of(ready.model, data.x().row);
  if (data.rows() == 0) throw Error(ErrorCode::kData, data.name() + ": has no rows to train on");
  require_scale(data, *ready.data.scale);
  TrainEstimate out;
  out.rows = data.rows().value_or(0);
  out.features = static_cast<uint64_t>(network.features);
  out.parameters = network.parameter_count();
  out.data_bytes = data.rows() ? train_rows_bytes(data) : 0;
  const auto batch = static_cast<uint64_t>(ready.train.batch_size);
  out.steps = (out.rows + batch - 1) / batch * static_cast<uint64_t>(ready.train.epochs);
  out.store_bytes = store_bytes(network, resident_states(network, ready, out.rows));
  TrainingGraphOptions build;
  build.precision = ready.train.precision;
  build.optimizer = ready.optimizer.rule();
  build.source = data.x().row.dtype() == DType::kU8 ? Source::kRawU8 : Source::kScaled;
  build.resident_rows = static_cast<int64_t>(out.rows);
  const uint64_t whole = out.rows > 0 ? std::min(batch, out.rows) : batch;
  for (const uint64_t rows : {whole, out.rows % whole}) {
    if (rows == 0) continue;
    build.rows = static_cast<int64_t>(rows);
    const Plan plan = Plan::compile(training_graph(ready.model, network, build), backend.info(),
                                    policy_of(ready.train));
    out.arena_bytes = std::max(out.arena_bytes, plan.arena_bytes());
  }
  out.scoring_bytes =
      scoring_bytes(backend, ready.model, network, threshold_options(ready.train, out.rows),
                    build.source, out.rows);
  // The steps' memory goes when the model is made from it and before the scoring's comes, which has
  // the model's weights in it.
  const uint64_t model_bytes = out.parameters * sizeof(float);
  out.peak_bytes =
      out.data_bytes + std::max(out.store_bytes + out.arena_bytes + model_bytes, out.scoring_bytes);
  return out;
}

}  // namespace diabolo
