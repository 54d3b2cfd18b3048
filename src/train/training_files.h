// The files of a run directory as a training writes them, each when its time has come. Without a
// directory every call does nothing.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/file_writer.h"
#include "base/log.h"
#include "model/model_file.h"
#include "train/checkpoint.h"
#include "train/run_directory.h"
#include "train/save_pace.h"

namespace diabolo {

class TrainingFiles {
 public:
  TrainingFiles(std::optional<RunDirectory> directory, double checkpoint_seconds, Log log,
                FileSystem& fs);

  bool exist() const { return directory_.has_value(); }
  const RunDirectory& directory() const { return *directory_; }

  // Of a training that starts anew, whose first checkpoint this is: from here on whatever ends the
  // process leaves something to resume from. Where it fails an earlier training is still there.
  void start(const Checkpoint& checkpoint, const StateBlobs& blobs);
  // What of metrics.jsonl belongs to a checkpoint that is gone on from; the rest is cut off.
  void open_metrics(uint64_t bytes);
  // Bytes of metrics.jsonl with this line.
  uint64_t add_metrics(const std::string& line);

  bool checkpoint_is_due() const { return exist() && checkpoint_pace_.is_due(); }
  bool model_is_due() const { return exist() && model_pace_.is_due(); }
  // The lines of metrics that belong to a checkpoint are on disk before it is.
  void save(const Checkpoint& checkpoint, const StateBlobs& blobs);
  void save(const ModelFile& model, const ParameterSource& parameters);
  // With its weights and threshold.
  void save_final(ModelFile& model);
  // What a kill can lose, in one line; once, and again where writing turns out to take longer.
  void say_pace();

 private:
  std::optional<RunDirectory> directory_;
  Log log_;
  FileSystem& fs_;
  std::unique_ptr<AppendWriter> metrics_;
  SavePace checkpoint_pace_, model_pace_;
  double said_interval_s_ = 0;
};

}  // namespace diabolo
