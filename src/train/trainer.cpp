#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/product_rates.h"
#include "base/file.h"
#include "data/labels.h"
#include "infer/threshold.h"
#include "train/training.h"
#include "train/training_identity.h"

namespace diabolo {

namespace {

// What last bits depend on beside the configuration.
std::string computed_on(const DeviceInfo& device) {
  if (device.space != Space::kHost) return device.name;
  return cat("the CPU with ", device.cpu.threads, device.cpu.threads == 1 ? " thread" : " threads");
}

}  // namespace

Training::Training(Backend& backend, const Config& config, const Dataset& data,
                   const Dataset* validation, const TrainOptions& options,
                   const TrainCallbacks& callbacks)
    : backend_(backend),
      config_(resolved(config, default_scale(data))),
      options_(options),
      callbacks_(callbacks),
      data_name_(data.name()),
      validation_name_(validation ? validation->name() : data.name()),
      row_(data.x().row),
      terms_(loss_terms(config_.model)),
      network_(Network::of(config_.model, data.x().row)),
      files_(options.directory, config_.train.checkpoint_seconds, options.log, fs()) {
  require_inputs_stay(validation);
  labels_file_ = labels_of_training(config_.data.labels, data, options.resume, options.log);
  check_texts(options_.texts, network_.features);
  if (!options.resume) {
    require_scale(data, *config_.data.scale);
    require_weights(terms_);
  }
  data_ = load_train_data(config_, data, validation, options.log);
  if (!has_validation())
    warn_of_training_threshold(data_name_, data_.train.rows, network_, options.log);
  count_rows(validation != nullptr);
}

// What is read is not a file of the directory, which would be replaced.
void Training::require_inputs_stay(const Dataset* validation) {
  if (!options_.directory) return;
  for (const std::string& path :
       {data_name_, config_.data.labels, validation ? validation->name() : std::string()})
    require_not_written(*options_.directory, path, fs());
}

void Training::count_rows(bool has_validation_file) {
  result_.rows_read = data_.train.rows_read;
  result_.validation_rows = data_.validation ? data_.validation->rows : 0;
  const uint64_t set_aside = has_validation_file ? 0 : result_.validation_rows;
  result_.rows_skipped = result_.rows_read - data_.train.rows - set_aside;
}

// A weight or rate that rises over more steps than there are never comes to its value.
void Training::warn_of_long_warmups() const {
  const uint64_t steps = session_->schedule().total_steps;
  const auto warn = [&](const std::string& what, int64_t warmup) {
    if (static_cast<uint64_t>(warmup) > steps)
      options_.log.warning(what, " rises over ", warmup, " steps, and the training has ", steps,
                           ": it does not come to its value");
  };
  warn("schedule.warmup_steps: the learning rate", config_.schedule.warmup_steps);
  for (const TermSpec& term : terms_) warn(cat("the weight of ", term.name), term.warmup_steps);
}

void Training::begin(const Dataset& data) {
  if (config_.train.precision == Precision::kBf16 && backend_.info().space == Space::kHost)
    warn_of_slow_bf16(backend_, options_.log);
  session_ = std::make_unique<TrainSession>(backend_, config_, network_, data_, options_);
  warn_of_long_warmups();
  at_.texts = options_.texts;
  if (options_.resume) {
    continue_checkpoint();
    at_.data_file = stamp_of(data, options_.log, at_.data_file);
    if (at_.position >= data_.train.rows ||
        at_.step != static_cast<uint64_t>(at_.epoch) * session_->steps_per_epoch() +
                        at_.position / session_->batch_rows())
      throw Error(ErrorCode::kModel,
                  options_.directory->checkpoint() + ": step, epoch and position do not agree");
    const int64_t begun = at_.epoch + (at_.position > 0 ? 1 : 0);
    if (begun > epochs())
      throw Error(ErrorCode::kUsage,
                  cat(options_.directory->path, ": train.epochs: expected at least ", begun,
                      ", which have begun, found ", epochs(), "; ask for more, or --overwrite"));
    if (options_.texts != ModelTexts{}) at_.texts = options_.texts;
    check_texts(at_.texts, network_.features);
    session_->refresh_low();
    files_.open_metrics(at_.metrics_bytes);
    if (callbacks_.resolved) callbacks_.resolved(config_);
  } else {
    at_.term_sums = term_sums(std::nullopt);
    at_.identity = training_identity(config_, data_.hash);
    at_.computed_on = computed_on(backend_.info());
    at_.data_file = stamp_of(data, options_.log);
    session_->set_parameters(initial_parameters(network_, config_.train.seed));
    start_directory();
  }
  files_.say_pace();
}

// One per term where there are several: those of a checkpoint, else 0.
TermValues Training::term_sums(const std::optional<TermValues>& found) const {
  TermValues sums;
  if (terms_.size() == 1) return sums;
  for (const TermSpec& term : terms_)
    sums.push_back({term.name, found ? sum_in_checkpoint(term, *found) : 0, term.in_loss});
  return sums;
}

// A checkpoint from before there was a measure does not know its sum over the epoch under way, and
// where reconstruction was the only term its sum is the loss's.
double Training::sum_in_checkpoint(const TermSpec& term, const TermValues& found) const {
  const auto same = std::ranges::find(found, term.name, &TermValue::name);
  if (same != found.end() && !(term.in_loss && std::isnan(same->value))) return same->value;
  if (!term.in_loss) return at_.position > 0 ? std::numeric_limits<double>::quiet_NaN() : 0;
  if (found.empty() && std::ranges::count(terms_, true, &TermSpec::in_loss) == 1)
    return at_.loss_sum;
  throw Error(ErrorCode::kModel,
              cat(options_.directory->checkpoint(), ": expected the sum of the loss's term ",
                  term.name, ", found none; use --overwrite to start anew"));
}

// On another number of threads it is the same training in other last bits, which is worth a line.
void Training::continue_checkpoint() {
  DIABOLO_CHECK(options_.directory.has_value(), "nothing to resume from");
  const std::string path = options_.directory->checkpoint();
  StoreBlobs blobs = session_->blobs();
  at_ = load_checkpoint(
      path, blobs,
      [&](const std::string& found) {
        if (!is_identity_of(found, config_, data_.hash))
          fail_of_another_training(path, config_, row_.dtype(), options_.renamed);
        return true;
      },
      fs());
  at_.term_sums = term_sums(at_.term_sums);
  const std::string now = computed_on(backend_.info());
  if (!at_.computed_on.empty() && at_.computed_on != now)
    options_.log.warning(path, ": computed on ", at_.computed_on, ", goes on on ", now,
                         "; the last bits of the weights may differ from those of a training "
                         "without interruption");
  at_.computed_on = now;
  at_.identity = training_identity(config_, data_.hash);
}

// Written once nothing but the steps can fail any more.
void Training::start_directory() {
  files_.start(at_, session_->blobs());
  if (callbacks_.resolved) callbacks_.resolved(config_);
  if (files_.exist()) files_.directory().keep();
}

TrainResult Training::run(const Dataset& data) {
  begin(data);
  while (!is_over() && !result_.is_cancelled) {
    bool goes_on = run_epoch();
    if (at_.position == data_.train.rows) goes_on = finish_epoch() && goes_on;
    result_.is_cancelled = !goes_on && !is_over();
  }
  checkpoint();
  result_.epochs = at_.epoch;
  result_.is_stopped_early = !result_.is_cancelled && at_.epoch < epochs();
  result_.model = final_model();
  return std::move(result_);
}

TrainResult train(Backend& backend, const Config& config, const Dataset& data,
                  const Dataset* validation, const TrainOptions& options,
                  const TrainCallbacks& callbacks) {
  return Training(backend, config, data, validation, options, callbacks).run(data);
}

}  // namespace diabolo
