// The model that a training has come to: the best by validation, else the last.
#include <algorithm>

#include "base/file.h"
#include "infer/fitting_inference.h"
#include "infer/threshold.h"
#include "train/training.h"

namespace diabolo {

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
  model.states =
      has_best() ? StateValues(at_.best.begin() + 1, at_.best.end()) : session_->states();
  return model;
}

// Not again where the best is saved already.
void Training::save_model_so_far() {
  if (has_best() && at_.best_epoch == saved_best_) return;
  const StoreBlobs blobs = session_->blobs();
  const auto parameters = [&](size_t index, const BlockTaker& take) {
    if (has_best()) return take(std::as_bytes(session_->part_of(at_.best.front(), index)));
    blobs.read_parameter(index, take);
  };
  files_.save(model_so_far(), parameters);
  saved_best_ = at_.best_epoch;
}

// Before its first epoch has ended a training has nothing that could replace an earlier model.
// Where the last good state is, then.
std::string Training::keep_model() {
  const RunDirectory& directory = *options_.directory;
  if (at_.epoch > 0 || !path_exists(directory.model(), {.fs = &fs()})) {
    save_model_so_far();
    return directory.path;
  }
  return cat(directory.checkpoint(), ", and ", directory.model(), " stays as it was");
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
    std::ranges::copy(at_.best.front(), model.parameters.writable_blob().begin());
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

}  // namespace diabolo
