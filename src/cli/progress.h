// Progress of training and of file commands: a bar that is redrawn where standard error is a
// terminal, else a line every 30 seconds.
#pragma once

#include <optional>
#include <string>

#include "base/seconds.h"
#include "cli/terminal.h"
#include "evaluate/evaluate.h"
#include "jobs/encode_pipeline.h"
#include "train/trainer.h"

namespace diabolo::cli {

// "31.2k", "845", "1.25M"
std::string short_number(double value);
// "0:07", "12:30", "3:05:00"
std::string clock_text(double seconds);
// "[#####-----]", `share` from 0 to 1 of `width` characters.
std::string bar_text(double share, int width);

class ProgressLine {
 public:
  explicit ProgressLine(Terminal& terminal) : terminal_(terminal), start_(Clock::now()) {}

  void show(const TrainProgress& progress);
  void show(const PipelineProgress& progress);
  void show(const EvaluateProgress& progress);
  // With --progress plain a short run says its last state, which was not yet due.
  void finish();

 private:
  struct Parts {
    std::optional<double> share;  // done, from 0 to 1, where the whole is known
    std::string before, after;
  };
  void show(const Parts& parts);
  bool is_due();
  void draw(const Parts& parts);

  Terminal& terminal_;
  Clock::time_point start_;
  double shown_s_ = 0;  // since start_, of the last line or redraw
  std::optional<Parts> not_shown_;
};

}  // namespace diabolo::cli
