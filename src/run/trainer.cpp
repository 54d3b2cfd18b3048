#include "run/trainer.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <utility>

#include "base/file.h"
#include "base/seconds.h"
#include "run/file_stamp.h"
#include "run/fitting_inference.h"
#include "run/labels.h"
#include "run/product_rates.h"
#include "run/threshold.h"
#include "run/train_data.h"
#include "run/train_session.h"
#include "run/training_files.h"
#include "run/training_identity.h"

namespace diabolo {

namespace {

// What last bits depend on beside the configuration.
std::string computed_on(const DeviceInfo& device) {
  if (device.space != Space::kHost) return device.name;
  return cat("the CPU with ", device.cpu.threads, device.cpu.threads == 1 ? " thread" : " threads");
}

// One training from its first step, or from a checkpoint, to its end.
class Training {
 public:
  Training(Backend& backend, const Config& config, const Dataset& data, const Dataset* validation,
           const TrainOptions& options, const TrainCallbacks& callbacks);
  TrainResult run(const Dataset& data);

 private:
  FileSystem& fs() const { return options_.fs ? *options_.fs : real_file_system(); }
  int64_t epochs() const { return config_.train.epochs; }
  bool has_validation() const { return data_.validation.has_value(); }
  bool has_best() const { return at_.best_epoch > 0; }

  void require_inputs_stay(const Dataset* validation);
  void count_rows(bool has_validation_file);
  void begin(const Dataset& data);
  void continue_checkpoint();
  void start_directory();
  bool is_over() const;
  bool run_epoch();
  int next_count(uint64_t position) const;
  void absorb(const StepsDone& done);
  void add_terms(std::span<const float> terms, double rows);
  void drain();
  bool report(int64_t epoch, std::optional<double> loss = {});
  void adapt(int steps, double seconds);
  void checkpoint();
  bool finish_epoch();
  void validate(EpochMetrics& metrics);
  [[noreturn]] void diverge(uint64_t step);
  ModelFile model_so_far() const;
  void save_model_so_far();
  std::string keep_model();
  void add_threshold(ModelFile& model) const;
  ModelFile final_model();

  Backend& backend_;
  Config config_;  // resolved
  TrainOptions options_;
  const TrainCallbacks& callbacks_;
  std::string data_name_, validation_name_;
  FileStamp labels_file_;
  TensorDesc row_;
  TrainData data_;
  Network network_;
  TrainingFiles files_;
  std::unique_ptr<TrainSession> session_;
  Checkpoint at_;  // how far the training is: steps that are done, not those under way
  TrainResult result_;
  int steps_per_launch_ = 1;
  Clock::time_point counted_from_;
  double samples_per_s_ = 0;  // of the epoch last heard of
  int64_t saved_best_ = 0;    // epoch of the best weights in the model file
  bool has_warned_of_validation_ = false;
};

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
      network_(Network::of(config_.model, data.x().row.elems())),
      files_(options.directory, config_.train.checkpoint_seconds, options.log, fs()) {
  require_inputs_stay(validation);
  labels_file_ = labels_of_training(config_.data.labels, data, options.resume, options.log);
  check_texts(options_.texts, network_.features);
  if (!options.resume) require_scale(data, *config_.data.scale);
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

void Training::begin(const Dataset& data) {
  if (config_.train.precision == Precision::kBf16 && backend_.info().space == Space::kHost)
    warn_of_slow_bf16(backend_, options_.log);
  session_ = std::make_unique<TrainSession>(backend_, config_, network_, data_, options_);
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
    at_.identity = training_identity(config_, data_.hash);
    at_.computed_on = computed_on(backend_.info());
    at_.data_file = stamp_of(data, options_.log);
    session_->set_parameters(initial_parameters(network_, config_.train.seed));
    start_directory();
  }
  files_.say_pace();
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
    if (!done.terms.empty()) add_terms(done.terms[i], static_cast<double>(rows));
    at_.position += rows;
    ++at_.step;
  }
}

void Training::add_terms(std::span<const float> terms, double rows) {
  const auto term = [&](LossTerm which) {
    return static_cast<double>(terms[static_cast<size_t>(which)]);
  };
  at_.reconstruction_sum += term(LossTerm::kReconstruction) * rows;
  at_.penalty_sum += term(LossTerm::kPenalty) * rows;
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

// Of an epoch under way or, when it is counted already, of one that has ended with `loss`.
bool Training::report(int64_t epoch, std::optional<double> loss) {
  if (!callbacks_.progress) return true;
  TrainProgress now;
  now.epoch = epoch;
  now.epochs = epochs();
  now.step = at_.step;
  now.steps = session_->schedule().total_steps;
  now.samples = static_cast<uint64_t>(at_.epoch) * data_.train.rows + at_.position;
  if (!loss) {
    const auto rows = static_cast<double>(at_.position);
    samples_per_s_ = rows / std::max(at_.seconds, 1e-9);
    loss = at_.loss_sum / std::max(1.0, rows);
  }
  now.samples_per_s = samples_per_s_;
  now.loss = *loss;
  now.validation_loss = at_.last_validation_loss;
  now.learning_rate = session_->schedule().learning_rate(at_.step);
  return callbacks_.progress(now);
}

void Training::checkpoint() {
  files_.save(at_, session_->blobs());
}

// False if the callback asked to stop.
bool Training::finish_epoch() {
  EpochMetrics metrics;
  const auto rows = static_cast<double>(data_.train.rows);
  metrics.loss = metrics.reconstruction = at_.loss_sum / rows;
  if (config_.model.penalty.l2 > 0) {
    metrics.reconstruction = at_.reconstruction_sum / rows;
    metrics.penalty = at_.penalty_sum / rows;
  }
  metrics.seconds = at_.seconds;
  metrics.samples_per_s = samples_per_s_ = rows / std::max(at_.seconds, 1e-9);
  metrics.learning_rate = session_->schedule().learning_rate(at_.step - 1);
  ++at_.epoch;
  at_.position = 0;
  at_.loss_sum = at_.reconstruction_sum = at_.penalty_sum = at_.seconds = 0;
  metrics.epoch = at_.epoch;
  metrics.step = at_.step;
  metrics.samples = static_cast<uint64_t>(at_.epoch) * data_.train.rows;
  if (has_validation()) validate(metrics);
  if (files_.exist()) at_.metrics_bytes = files_.add_metrics(metrics.json().dump());
  if (files_.model_is_due()) save_model_so_far();
  if (files_.checkpoint_is_due()) checkpoint();
  if (callbacks_.epoch) callbacks_.epoch(metrics);
  result_.metrics.push_back(metrics);
  return report(at_.epoch, metrics.loss);
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
  session_->read_master(at_.best);
}

// All of the model but its weights, which are the best so far or those of now.
ModelFile Training::model_so_far() const {
  ModelFile model;
  model.config = config_;
  if (model.config.data.train.empty()) model.config.data.train = data_name_;
  model.row = row_;
  model.scaling = data_.scaling;
  model.provenance = {library_version(),
                      data_name_,
                      data_.train.rows,
                      config_.train.seed,
                      static_cast<uint64_t>(has_best() ? at_.best_epoch : at_.epoch),
                      at_.data_file.stamp,
                      labels_file_};
  model.texts = at_.texts;
  return model;
}

// Not again where the best is saved already.
void Training::save_model_so_far() {
  if (has_best() && at_.best_epoch == saved_best_) return;
  const StoreBlobs blobs = session_->blobs();
  const auto parameters = [&](size_t index, const BlockTaker& take) {
    if (has_best()) return take(std::as_bytes(session_->part_of(at_.best, index)));
    blobs.read_parameter(index, take);
  };
  files_.save(model_so_far(), parameters);
  saved_best_ = at_.best_epoch;
}

// Before its first epoch has ended a training has nothing that could replace an earlier model. Where
// the last good state is, then.
std::string Training::keep_model() {
  const RunDirectory& directory = *options_.directory;
  if (at_.epoch > 0 || !path_exists(directory.model(), {.fs = &fs()})) {
    save_model_so_far();
    return directory.path;
  }
  return cat(directory.checkpoint(), ", and ", directory.model(), " stays as it was");
}

// The parameters on the device are those before the bad step.
void Training::diverge(uint64_t step) {
  while (session_->in_flight() > 0) session_->wait_for_oldest();
  std::string kept;
  if (options_.directory) {
    checkpoint();
    kept = cat("; the last good state is in ", keep_model());
  }
  throw Error(ErrorCode::kDiverged,
              cat("training diverged: the loss or the gradient of step ", step + 1, " (epoch ",
                  at_.epoch + 1, ") is not finite", kept,
                  "; lower optimizer.learning_rate or set optimizer.clip_norm"));
}

void Training::add_threshold(ModelFile& model) const {
  const TrainRows& rows = has_validation() ? *data_.validation : data_.train;
  FittingInference inference(backend_, model, threshold_options(config_.train, rows.rows),
                             options_.log);
  std::vector<float> scores(rows.rows);
  Scores out;
  out.score = scores;
  const RawRows in{rows.dtype, rows.dtype == DType::kF32, rows.bytes, rows.rows};
  inference.run([&](const Inference& scoring) { scoring.score(in, out); });
  put_threshold(model, scores,
                has_validation() ? ThresholdFrom::kValidation : ThresholdFrom::kTraining,
                config_.output.quantile, options_.log);
}

// An interrupted training leaves its weights as they are, if an epoch was completed.
ModelFile Training::final_model() {
  if (result_.is_cancelled && at_.epoch > 0) save_model_so_far();
  ModelFile model = model_so_far();
  if (has_best()) {
    model.parameters = ParameterValues(network_.parameters());
    std::ranges::copy(at_.best, model.parameters.writable_blob().begin());
    at_.best = {};
  } else {
    model.parameters = session_->parameters();
  }
  session_.reset();  // its memory serves the scoring
  if (result_.is_cancelled) return model;
  add_threshold(model);
  files_.save_final(model);
  return model;
}

}  // namespace

TrainResult train(Backend& backend, const Config& config, const Dataset& data,
                  const Dataset* validation, const TrainOptions& options,
                  const TrainCallbacks& callbacks) {
  return Training(backend, config, data, validation, options, callbacks).run(data);
}

}  // namespace diabolo
