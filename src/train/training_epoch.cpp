// What an epoch's end brings, and a training's that diverges.
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "train/training.h"

namespace diabolo {

void Training::checkpoint() {
  files_.save(at_, session_->blobs());
}

// False if the callback asked to stop.
bool Training::finish_epoch() {
  EpochMetrics metrics;
  const auto rows = static_cast<double>(data_.train.rows);
  metrics.loss = at_.loss_sum / rows;
  metrics.terms = terms_over(rows);
  metrics.seconds = at_.seconds;
  metrics.samples_per_s = samples_per_s_ = rows / std::max(at_.seconds, 1e-9);
  metrics.learning_rate = session_->schedule().learning_rate(at_.step - 1);
  ++at_.epoch;
  at_.position = 0;
  at_.loss_sum = at_.seconds = 0;
  for (TermValue& sum : at_.term_sums) sum.value = 0;
  metrics.epoch = at_.epoch;
  metrics.step = at_.step;
  metrics.samples = static_cast<uint64_t>(at_.epoch) * data_.train.rows;
  if (has_validation()) validate(metrics);
  if (files_.exist()) at_.metrics_bytes = files_.add_metrics(metrics.json().dump());
  if (files_.model_is_due()) save_model_so_far();
  if (files_.checkpoint_is_due()) checkpoint();
  if (callbacks_.epoch) callbacks_.epoch(metrics);
  result_.metrics.push_back(metrics);
  return report(at_.epoch, &metrics);
}

// The best weights stay in memory until the next checkpoint; one that goes on from an older
// checkpoint finds them again.
void Training::validate(EpochMetrics& metrics) {
  const double loss = session_->validate();
  if (!std::isfinite(loss)) {
    if (std::exchange(has_warned_of_validation_, true)) return;
    return warn_of_infinite_validation(*data_.validation, validation_name_, at_.epoch,
                                       options_.log);
  }
  metrics.validation_loss = at_.last_validation_loss = loss;
  if (at_.best_epoch > 0 && loss >= at_.best_validation_loss) return;
  at_.best_validation_loss = loss;
  at_.best_epoch = at_.epoch;
  session_->read_model(at_.best);
}

// The parameters on the device are those before the bad step.
void Training::diverge(uint64_t step) {
  while (session_->in_flight() > 0) session_->wait_for_oldest();
  std::string kept;
  if (options_.directory) {
    checkpoint();
    kept = cat("; the last good state is in ", keep_model());
  }
  const char* const what = network_.states().empty()
                               ? "the loss or the gradient"
                               : "the loss, the gradient or the model's state";
  throw Error(
      ErrorCode::kDiverged,
      cat("training diverged: ", what, " of step ", step + 1, " (epoch ", at_.epoch + 1,
          ") is not finite", kept, "; lower optimizer.learning_rate or set optimizer.clip_norm"));
}

}  // namespace diabolo
