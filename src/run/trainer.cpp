#include "run/trainer.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "base/file_writer.h"
#include "run/checkpoint.h"
#include "run/file_stamp.h"
#include "run/fitting_inference.h"
#include "run/labels.h"
#include "run/threshold.h"
#include "run/train_data.h"
#include "run/train_session.h"
#include "run/training_identity.h"

namespace diabolo {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// One training from its first step, or from a checkpoint, to its end.
class Training {
 public:
  Training(Backend& backend, const Config& config, const Dataset& data, const Dataset* validation,
           const TrainOptions& options, const TrainCallbacks& callbacks);
  TrainResult run();

 private:
  FileSystem& fs() const { return options_.fs ? *options_.fs : real_file_system(); }
  int64_t epochs() const { return config_.train.epochs; }
  bool has_validation() const { return data_.validation.has_value(); }

  void count_rows(bool has_validation_file);
  void begin();
  void start_directory();
  void open_files();
  bool is_over() const;
  bool run_epoch();
  int next_count(uint64_t position) const;
  void absorb(const StepsDone& done);
  void add_terms(std::span<const float> terms, double rows);
  void drain();
  bool report();
  void adapt(int steps, double seconds);
  void checkpoint();
  void finish_epoch();
  [[noreturn]] void diverge(uint64_t step);
  ModelFile model_of(const std::vector<float>& master, int64_t epochs) const;
  void save_epoch_model();
  void add_threshold(ModelFile& model) const;
  ModelFile final_model();

  Backend& backend_;
  Config config_;  // resolved
  TrainOptions options_;
  const TrainCallbacks& callbacks_;
  std::string data_name_;
  FileStamp data_file_, labels_file_;
  TensorDesc row_;
  TrainData data_;
  Network network_;
  std::string identity_;
  std::unique_ptr<TrainSession> session_;
  std::unique_ptr<AppendWriter> metrics_file_;
  Checkpoint at_;  // how far the training is: steps that are done, not those under way
  TrainResult result_;
  int steps_per_launch_ = 1;
  Clock::time_point counted_from_, last_checkpoint_;
};

Training::Training(Backend& backend, const Config& config, const Dataset& data,
                   const Dataset* validation, const TrainOptions& options,
                   const TrainCallbacks& callbacks)
    : backend_(backend),
      config_(resolved(config, default_scale(data))),
      options_(options),
      callbacks_(callbacks),
      data_name_(data.name()),
      row_(data.x().row),
      network_(Network::of(config_.model, data.x().row.elems())) {
  if (!config_.data.labels.empty()) {
    const auto labels = open_dataset(config_.data.labels);
    read_labels(*labels, data);
    labels_file_ = stamp_of(*labels);
  }
  check_texts(options_.texts, network_.features);
  if (!options.resume) require_scale(data, *config_.data.scale);
  data_ = load_train_data(config_, data, validation, options.log);
  identity_ = training_identity(config_, data_.hash);
  data_file_ = stamp_of(data);
  if (!has_validation())
    warn_of_training_threshold(data_name_, data_.train.rows, network_, options.log);
  count_rows(validation != nullptr);
}

void Training::count_rows(bool has_validation_file) {
  result_.rows_read = data_.train.rows_read;
  result_.validation_rows = data_.validation ? data_.validation->rows : 0;
  const uint64_t set_aside = has_validation_file ? 0 : result_.validation_rows;
  result_.rows_skipped = result_.rows_read - data_.train.rows - set_aside;
}

TrainResult Training::run() {
  begin();
  while (!is_over() && !result_.is_cancelled) {
    const bool goes_on = run_epoch();
    at_.position == data_.train.rows ? finish_epoch() : checkpoint();
    result_.is_cancelled = !goes_on && !is_over();
  }
  result_.epochs = at_.epoch;
  result_.is_stopped_early = !result_.is_cancelled && at_.epoch < epochs();
  result_.model = final_model();
  return std::move(result_);
}

void Training::begin() {
  session_ = std::make_unique<TrainSession>(backend_, config_, network_, data_, options_);
  at_.identity = identity_;
  at_.texts = options_.texts;
  if (options_.resume) {
    DIABOLO_CHECK(options_.directory.has_value(), "nothing to resume from");
    at_ =
        load_checkpoint(options_.directory->checkpoint(), session_->blob_elems(), identity_, fs());
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
    session_->load_state(at_);
    open_files();
  } else {
    session_->set_parameters(initial_parameters(network_, config_.train.seed));
    start_directory();
  }
}

// From here on whatever ends this process leaves something to resume from.
void Training::start_directory() {
  if (options_.directory) options_.directory->begin();
  checkpoint();
  if (options_.directory) options_.directory->replace_earlier();
  open_files();
  if (options_.directory) options_.directory->keep();
}

void Training::open_files() {
  if (options_.directory)
    metrics_file_ =
        std::make_unique<AppendWriter>(options_.directory->metrics(), at_.metrics_bytes, fs());
  if (callbacks_.resolved) callbacks_.resolved(config_);
  last_checkpoint_ = Clock::now();
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

// False if the callback asked to stop, wherever that was.
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
    if (!report()) {
      drain();
      return false;
    }
    if (seconds_since(last_checkpoint_) > config_.train.checkpoint_seconds) {
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

bool Training::report() {
  if (!callbacks_.progress) return true;
  TrainProgress now;
  now.epoch = at_.epoch + 1;
  now.epochs = epochs();
  now.step = at_.step;
  now.steps = session_->schedule().total_steps;
  now.samples = static_cast<uint64_t>(at_.epoch) * data_.train.rows + at_.position;
  now.samples_per_s = static_cast<double>(at_.position) / std::max(at_.seconds, 1e-9);
  now.loss = at_.loss_sum / static_cast<double>(std::max<uint64_t>(1, at_.position));
  now.validation_loss = at_.last_validation_loss;
  now.learning_rate = session_->schedule().learning_rate(at_.step);
  return callbacks_.progress(now);
}

void Training::checkpoint() {
  last_checkpoint_ = Clock::now();
  if (!options_.directory) return;
  options_.directory->require_ours();
  session_->save_state(at_);
  save_checkpoint(at_, options_.directory->checkpoint(), fs());
}

void Training::finish_epoch() {
  EpochMetrics metrics;
  const auto rows = static_cast<double>(data_.train.rows);
  metrics.loss = metrics.reconstruction = at_.loss_sum / rows;
  if (config_.model.penalty.l2 > 0) {
    metrics.reconstruction = at_.reconstruction_sum / rows;
    metrics.penalty = at_.penalty_sum / rows;
  }
  metrics.seconds = at_.seconds;
  metrics.samples_per_s = rows / std::max(at_.seconds, 1e-9);
  metrics.learning_rate = session_->schedule().learning_rate(at_.step - 1);
  ++at_.epoch;
  at_.position = 0;
  at_.loss_sum = at_.reconstruction_sum = at_.penalty_sum = at_.seconds = 0;
  metrics.epoch = at_.epoch;
  metrics.step = at_.step;
  metrics.samples = static_cast<uint64_t>(at_.epoch) * data_.train.rows;
  bool is_best = !has_validation();
  if (has_validation()) {
    const double loss = session_->validate();
    if (std::isfinite(loss)) metrics.validation_loss = at_.last_validation_loss = loss;
    is_best = std::isfinite(loss) && (at_.best_epoch == 0 || loss < at_.best_validation_loss);
    if (is_best) {
      at_.best_validation_loss = loss;
      at_.best_epoch = at_.epoch;
      at_.best = session_->master();
    }
  }
  if (metrics_file_) {
    metrics_file_->write(metrics.json().dump() + "\n");
    metrics_file_->flush();
    at_.metrics_bytes = metrics_file_->size_bytes();
  }
  if (is_best) save_epoch_model();
  checkpoint();
  if (callbacks_.epoch) callbacks_.epoch(metrics);
  result_.metrics.push_back(metrics);
}

ModelFile Training::model_of(const std::vector<float>& master, int64_t epochs) const {
  ModelFile model;
  model.config = config_;
  if (model.config.data.train.empty()) model.config.data.train = data_name_;
  model.row = row_;
  model.scaling = data_.scaling;
  model.provenance = {library_version(),
                      data_name_,
                      data_.train.rows,
                      config_.train.seed,
                      static_cast<uint64_t>(epochs),
                      data_file_,
                      labels_file_};
  model.texts = at_.texts;
  model.parameters = session_->parameters_of(master);
  return model;
}

void Training::save_epoch_model() {
  if (!options_.directory) return;
  ModelFile model = model_of(session_->master(), at_.epoch);
  save_model(model, options_.directory->model(), fs());
}

// The parameters on the device are those before the bad step.
void Training::diverge(uint64_t step) {
  while (session_->in_flight() > 0) session_->wait_for_oldest();
  std::string kept;
  if (options_.directory) {
    checkpoint();
    if (at_.best_epoch == 0) save_epoch_model();
    kept = cat("; the last good state is in ", options_.directory->path);
  }
  throw Error(ErrorCode::kDiverged,
              cat("training diverged: the loss or the gradient of step ", step + 1, " (epoch ",
                  at_.epoch + 1, ") is not finite", kept,
                  "; lower optimizer.learning_rate or set optimizer.clip_norm"));
}

void Training::add_threshold(ModelFile& model) const {
  InferenceOptions options;
  options.fast_policy = config_.train.fast_policy;
  FittingInference inference(backend_, model, options, options_.log);
  const TrainRows& rows = has_validation() ? *data_.validation : data_.train;
  std::vector<float> scores(rows.rows);
  Scores out;
  out.score = scores;
  const RawRows in{rows.dtype, rows.dtype == DType::kF32, rows.bytes, rows.rows};
  inference.run([&](const Inference& scoring) { scoring.score(in, out); });
  put_threshold(model, scores,
                has_validation() ? ThresholdFrom::kValidation : ThresholdFrom::kTraining,
                config_.output.quantile, options_.log);
}

ModelFile Training::final_model() {
  const bool has_best = at_.best_epoch > 0;
  ModelFile model =
      has_best ? model_of(at_.best, at_.best_epoch) : model_of(session_->master(), at_.epoch);
  session_.reset();  // its memory serves the scoring
  if (result_.is_cancelled) return model;
  add_threshold(model);
  if (options_.directory) save_model(model, options_.directory->model(), fs());
  return model;
}

}  // namespace

nlohmann::json EpochMetrics::json() const {
  nlohmann::json out = {{"epoch", epoch},
                        {"step", step},
                        {"samples", samples},
                        {"loss", loss},
                        {"reconstruction", reconstruction},
                        {"samples_per_s", samples_per_s},
                        {"seconds", seconds},
                        {"learning_rate", learning_rate}};
  if (validation_loss) out["validation_loss"] = *validation_loss;
  if (penalty) out["penalty"] = *penalty;
  return out;
}

TrainResult train(Backend& backend, const Config& config, const Dataset& data,
                  const Dataset* validation, const TrainOptions& options,
                  const TrainCallbacks& callbacks) {
  return Training(backend, config, data, validation, options, callbacks).run();
}

TrainEstimate estimate_training(Backend& backend, const Config& config, const Dataset& data) {
  const Config ready = resolved(config, default_scale(data));
  const Network network = Network::of(ready.model, data.x().row.elems());
  if (data.rows() == 0) throw Error(ErrorCode::kData, data.name() + ": has no rows to train on");
  require_scale(data, *ready.data.scale);
  TrainEstimate out;
  out.rows = data.rows().value_or(0);
  out.features = static_cast<uint64_t>(network.features);
  out.parameters = network.parameter_count();
  out.data_bytes = data.rows() ? train_rows_bytes(data) : 0;
  const auto batch = static_cast<uint64_t>(ready.train.batch_size);
  out.steps = (out.rows + batch - 1) / batch * static_cast<uint64_t>(ready.train.epochs);
  const auto records = training_records(network, ready, out.rows);
  for (const StoreRecord& record : records) out.store_bytes += record.desc.bytes();
  BuildOptions build;
  build.mode = Mode::kTrain;
  build.precision = ready.train.precision;
  build.optimizer = ready.optimizer.rule();
  build.source = data.x().row.dtype() == DType::kU8 ? Source::kRawU8 : Source::kScaled;
  build.resident_rows = static_cast<int64_t>(out.rows);
  const uint64_t whole = out.rows > 0 ? std::min(batch, out.rows) : batch;
  for (const uint64_t rows : {whole, out.rows % whole}) {
    if (rows == 0) continue;
    build.rows = static_cast<int64_t>(rows);
    const Plan plan = Plan::compile(build_graph(ready.model, network, build), backend.info(),
                                    policy_of(ready.train));
    out.arena_bytes = std::max(out.arena_bytes, plan.arena_bytes());
  }
  return out;
}

}  // namespace diabolo
