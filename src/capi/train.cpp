// diabolo_train and diabolo_train_file.
#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "capi/arguments.h"
#include "capi/handles.h"
#include "capi/model_texts.h"
#include "capi/status.h"
#include "capi/train_config.h"
#include "jobs/open.h"
#include "jobs/training.h"

namespace diabolo::capi {

namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

static_assert(static_cast<int>(RunUse::kResume) == DIABOLO_RUN_RESUME);
static_assert(static_cast<int>(RunUse::kOverwrite) == DIABOLO_RUN_OVERWRITE);

static_assert(DIABOLO_MAX_LOSS_TERMS == kernels::kMaxLossTerms);
static_assert(sizeof(diabolo_loss_term::name) == kMaxTermName + 1);

// Into a struct of the interface.
template <class Out>
void give_terms(const TermValues& terms, Out& out) {
  for (const TermValue& given : terms) {
    diabolo_loss_term& term =
        given.in_loss ? out.terms[out.term_count++] : out.measures[out.measure_count++];
    std::ranges::copy(given.name, term.name);
    term.value = given.value;
  }
}

diabolo_train_progress progress_of(const TrainProgress& now) {
  diabolo_train_progress out{};
  out.struct_size = sizeof out;
  out.epoch = static_cast<uint64_t>(now.epoch);
  out.epochs = static_cast<uint64_t>(now.epochs);
  out.step = now.step;
  out.steps = now.steps;
  out.samples = now.samples;
  out.samples_per_s = now.samples_per_s;
  out.loss = now.loss;
  out.validation_loss = now.validation_loss.value_or(kNone);
  out.learning_rate = now.learning_rate;
  give_terms(now.terms, out);
  return out;
}

TrainCallbacks callbacks_of(const diabolo_train_options& options) {
  TrainCallbacks callbacks;
  if (options.progress) {
    callbacks.progress = [&options](const TrainProgress& now) {
      const diabolo_train_progress progress = progress_of(now);
      const CallerEnvironment environment;
      return options.progress(&progress, options.progress_user) == 0;
    };
  }
  return callbacks;
}

// Claims the folder: before anything in it is read.
TrainOptions options_of(const Context& context, const diabolo_train_options& options) {
  TrainOptions train;
  train.log = context.log;
  add_texts(
      "train options",
      {options.feature_names, options.feature_name_count, options.metadata, options.metadata_count},
      train.texts);
  check_choice("train options.run_use", options.run_use, 0, DIABOLO_RUN_OVERWRITE + 1);
  if (options.run_directory) {
    const std::string path = required_path("train options.run_directory", options.run_directory);
    train.directory = open_run_directory(path, static_cast<RunUse>(options.run_use));
    train.resume = options.run_use == DIABOLO_RUN_RESUME;
  } else if (options.run_use != DIABOLO_RUN_NEW) {
    throw Error(ErrorCode::kUsage,
                "train options.run_directory: expected the folder to resume or "
                "overwrite, found null");
  }
  return train;
}

diabolo_train_result describe(const TrainResult& result) {
  diabolo_train_result out{};
  const EpochMetrics* last = result.metrics.empty() ? nullptr : &result.metrics.back();
  out.epochs = static_cast<uint64_t>(result.epochs);
  out.loss = last ? last->loss : kNone;
  out.validation_loss = last ? last->validation_loss.value_or(kNone) : kNone;
  out.is_stopped_early = result.is_stopped_early;
  out.is_cancelled = result.is_cancelled;
  if (last) give_terms(last->terms, out);
  return out;
}

// What both functions do once the data are open.
void train_on(const std::shared_ptr<Context>& context, const Config& config, const Dataset& data,
              const diabolo_train_options& options, const TrainOptions& train_options,
              diabolo_model** model, diabolo_train_result* out) {
  const auto validation = options.validation ? dataset_of("validation", options.validation)
                                             : open_validation(config, data);
  TrainResult result = diabolo::run_training(*context->backend, config, data, validation.get(),
                                             train_options, callbacks_of(options));
  give_result("train result", describe(result), out);
  *model = new_handle(std::make_shared<Model>(
      context, std::move(result.model),
      train_options.directory ? absolute(train_options.directory->model()) : std::string()));
  if (result.is_cancelled)
    throw Error(ErrorCode::kInterrupted,
                "training was stopped by its callback; the model is the state so far");
}

void check_outputs(diabolo_model** model, const diabolo_train_result* result) {
  required("model", model) = nullptr;
  check_result("train result", result);
}

}  // namespace

}  // namespace diabolo::capi

using namespace diabolo::capi;
using diabolo::TrainOptions;

diabolo_status diabolo_train(const diabolo_context* context, const diabolo_rows* rows,
                             const diabolo_train_options* options, diabolo_model** model,
                             diabolo_train_result* result) {
  return guarded(__func__, [&] {
    check_outputs(model, result);
    const auto found = find_context(context);
    const diabolo_train_options given = options_or_defaults("train options", options);
    const TrainOptions train = options_of(*found, given);
    const auto data = dataset_of("rows", rows);
    train_on(found, train_config(*found, given), *data, given, train, model, result);
  });
}

diabolo_status diabolo_train_file(const diabolo_context* context, const char* path,
                                  const diabolo_train_options* options, diabolo_model** model,
                                  diabolo_train_result* result) {
  return guarded(__func__, [&] {
    check_outputs(model, result);
    const auto found = find_context(context);
    const diabolo_train_options given = options_or_defaults("train options", options);
    const TrainOptions train = options_of(*found, given);
    diabolo::Config config = train_config(*found, given);
    config.data.train = required_path("path", path);
    const auto data = diabolo::open_dataset(config.data.train, open_options(config.data));
    train_on(found, config, *data, given, train, model, result);
  });
}
