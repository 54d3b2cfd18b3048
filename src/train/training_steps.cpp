// The steps of an epoch: launched ahead, counted when they are done, reported.
#include <algorithm>
#include <bit>
#include <utility>

#include "train/training.h"

namespace diabolo {

bool Training::is_over() const {
  if (at_.epoch >= epochs()) return true;
  const int64_t patience = config_.train.patience;
  return has_validation() && patience > 0 && at_.best_epoch > 0 && at_.position == 0 &&
         at_.epoch - at_.best_epoch >= patience;
}

// Steps of the next launch: a power of two, so that few lengths are ever recorded.
int Training::next_count(uint64_t position) const {
  const uint64_t whole = (data_.train.rows - position) / session_->batch_rows();
  if (whole == 0) return 1;  // the last, shorter batch
  return static_cast<int>(
      std::min<uint64_t>(static_cast<uint64_t>(steps_per_launch_), std::bit_floor(whole)));
}

// False if the callback asked to stop before the epoch's end.
bool Training::run_epoch() {
  session_->begin_epoch(static_cast<uint32_t>(at_.epoch), at_.step, at_.position);
  uint64_t launched = at_.position;
  counted_from_ = Clock::now();
  while (at_.position < data_.train.rows) {
    while (launched < data_.train.rows && session_->in_flight() < TrainSession::kMaxInFlight) {
      const int count = next_count(launched);
      session_->launch(count);
      launched = std::min(data_.train.rows,
                          launched + static_cast<uint64_t>(count) * session_->batch_rows());
    }
    const StepsDone done = session_->wait_for_oldest();
    const double before = at_.seconds;
    absorb(done);
    adapt(static_cast<int>(done.losses.size()), at_.seconds - before);
    if (at_.position == data_.train.rows) break;  // reported with what validation says
    if (!report(at_.epoch + 1)) {
      drain();
      return false;
    }
    if (files_.checkpoint_is_due()) {
      drain();
      launched = at_.position;
      if (at_.position == data_.train.rows) break;  // the epoch's own checkpoint follows
      checkpoint();
      counted_from_ = Clock::now();
    }
  }
  return true;
}

// Counts steps as done, in order, so that the sum of losses does not depend on how they were
// launched.
void Training::absorb(const StepsDone& done) {
  at_.seconds += seconds_since(std::exchange(counted_from_, Clock::now()));
  for (size_t i = 0; i < done.losses.size(); ++i) {
    if (done.has_halted && done.first_step + i >= done.halted_step) diverge(done.halted_step);
    const uint64_t rows = std::min(session_->batch_rows(), data_.train.rows - at_.position);
    at_.loss_sum += static_cast<double>(done.losses[i]) * static_cast<double>(rows);
    for (size_t k = 0; k < at_.term_sums.size(); ++k)
      at_.term_sums[k].value +=
          static_cast<double>(done.terms[i * terms_.size() + k]) * static_cast<double>(rows);
    at_.position += rows;
    ++at_.step;
  }
}

// What the terms came to in the mean of the epoch's first rows.
TermValues Training::terms_over(double rows) const {
  if (terms_.size() == 1) return {{terms_.front().name, at_.loss_sum / rows}};
  TermValues means = at_.term_sums;
  for (TermValue& term : means) term.value /= rows;
  return means;
}

void Training::drain() {
  while (session_->in_flight() > 0) absorb(session_->wait_for_oldest());
}

// Aims at launches of some 30 ms: short enough to be stopped, long enough to cost nothing.
void Training::adapt(int steps, double seconds) {
  constexpr double kLaunchSeconds = 0.03;
  const double wanted = kLaunchSeconds * steps / std::max(seconds, 1e-6);
  const auto most = static_cast<uint64_t>(std::max(1, options_.max_steps_per_launch));
  const auto fit = std::bit_floor(static_cast<uint64_t>(std::clamp(wanted, 1.0, 1e6)));
  steps_per_launch_ = static_cast<int>(
      std::min({std::bit_floor(most), fit, static_cast<uint64_t>(2 * steps_per_launch_)}));
}

// Of an epoch under way or, when it is counted already, of one that has ended.
bool Training::report(int64_t epoch, const EpochMetrics* ended) {
  if (!callbacks_.progress) return true;
  TrainProgress now;
  now.epoch = epoch;
  now.epochs = epochs();
  now.step = at_.step;
  now.steps = session_->schedule().total_steps;
  now.samples = static_cast<uint64_t>(at_.epoch) * data_.train.rows + at_.position;
  if (ended) {
    now.loss = ended->loss;
    now.terms = ended->terms;
  } else {
    const auto rows = static_cast<double>(at_.position);
    samples_per_s_ = rows / std::max(at_.seconds, 1e-9);
    now.loss = at_.loss_sum / std::max(1.0, rows);
    now.terms = terms_over(std::max(1.0, rows));
  }
  now.samples_per_s = samples_per_s_;
  now.validation_loss = at_.last_validation_loss;
  now.learning_rate = session_->schedule().learning_rate(at_.step);
  return callbacks_.progress(now);
}

}  // namespace diabolo
