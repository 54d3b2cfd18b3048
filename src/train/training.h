// One training from its first step, or from a checkpoint, to its end. Its parts by idea:
//   trainer.cpp         what it starts from, and the whole course
//   training_steps.cpp  the steps of an epoch, and what is said of them
//   training_epoch.cpp  what an epoch's end brings: metrics, validation, files
//   training_model.cpp  the model that comes of it, at any time and at the end
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/seconds.h"
#include "data/file_stamp.h"
#include "train/train_data.h"
#include "train/train_session.h"
#include "train/trainer.h"
#include "train/training_files.h"

namespace diabolo {

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
  void warn_of_long_warmups() const;
  void count_rows(bool has_validation_file);
  void begin(const Dataset& data);
  void continue_checkpoint();
  void start_directory();
  bool is_over() const;
  bool run_epoch();
  int next_count(uint64_t position) const;
  void absorb(const StepsDone& done);
  TermValues term_sums(const std::optional<TermValues>& found) const;
  double sum_in_checkpoint(const TermSpec& term, const TermValues& found) const;
  TermValues terms_over(double rows) const;
  void drain();
  bool report(int64_t epoch, const EpochMetrics* ended = nullptr);
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
  std::vector<TermSpec> terms_;
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

}  // namespace diabolo
