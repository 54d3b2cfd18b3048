#include "train/training_files.h"

#include <cmath>

namespace diabolo {

TrainingFiles::TrainingFiles(std::optional<RunDirectory> directory, double checkpoint_seconds,
                             Log log, FileSystem& fs)
    : directory_(std::move(directory)),
      log_(std::move(log)),
      fs_(fs),
      checkpoint_pace_(checkpoint_seconds),
      model_pace_(checkpoint_seconds) {}

void TrainingFiles::start(const Checkpoint& checkpoint, const StateBlobs& blobs) {
  if (!exist()) return;
  directory_->begin();
  save(checkpoint, blobs);
  directory_->replace_earlier();
  open_metrics(0);
}

void TrainingFiles::open_metrics(uint64_t bytes) {
  if (exist()) metrics_ = std::make_unique<AppendWriter>(directory_->metrics(), bytes, fs_);
}

uint64_t TrainingFiles::add_metrics(const std::string& line) {
  if (!metrics_) return 0;
  metrics_->write(line + "\n");
  return metrics_->size_bytes();
}

void TrainingFiles::save(const Checkpoint& checkpoint, const StateBlobs& blobs) {
  if (!exist()) return;
  directory_->require_ours();
  uint64_t all = 0, written = 0;  // the first is without the optimizer's blobs
  for (const StateSpec& spec : blobs.specs()) {
    all += spec.desc.bytes();
    if (!is_left_out(spec, checkpoint.step)) written += spec.desc.bytes();
  }
  const double share = static_cast<double>(written) / static_cast<double>(all);
  checkpoint_pace_.write(
      [&] {
        if (metrics_) metrics_->flush();
        save_checkpoint(checkpoint, blobs, directory_->checkpoint(), fs_);
      },
      share);
  if (checkpoint.step > 0) say_pace();
}

void TrainingFiles::save(const ModelFile& model, const ParameterSource& parameters) {
  if (!exist()) return;
  directory_->require_ours();
  model_pace_.write([&] { save_model(model, parameters, directory_->model(), fs_); });
}

void TrainingFiles::save_final(ModelFile& model) {
  if (!exist()) return;
  directory_->require_ours();
  save_model(model, directory_->model(), fs_);
}

void TrainingFiles::say_pace() {
  const double interval_s = checkpoint_pace_.interval_s();
  if (!exist() || (said_interval_s_ > 0 && interval_s < 1.5 * said_interval_s_)) return;
  said_interval_s_ = std::max(interval_s, 1e-9);
  if (interval_s == 0)
    log_.info(directory_->path, ": saved after every launch of steps; a kill loses no more");
  else
    log_.info(directory_->path, ": saved every ", std::ceil(interval_s),
              " s, which is what a kill can lose");
}

}  // namespace diabolo
