// The folder that a training writes to: names of its files, and when it may be used.
#pragma once

#include <string>

#include "base/file_system.h"

namespace diabolo {

struct RunDirectory {
  std::string path;
  bool is_to_be_cleared = false;  // it holds an earlier training, which start() removes

  std::string model() const { return path + "/model.safetensors"; }
  std::string checkpoint() const { return path + "/checkpoint.safetensors"; }
  std::string config() const { return path + "/config.toml"; }
  std::string metrics() const { return path + "/metrics.jsonl"; }

  // For a training that starts anew, once nothing but its steps can fail any more: an earlier model
  // is not lost to a data file that cannot be read. Throws Error{kResource}.
  void start() const;
};

enum class RunUse {
  kNew,        // must be absent or empty
  kResume,     // must hold a checkpoint
  kOverwrite,  // files of an earlier run in it are removed by start(); others stay
};

// Creates the folder where needed. Throws Error{kUsage} for one that is not empty (kNew; "use
// --resume or --overwrite"), Error{kModel} for one without a checkpoint (kResume), Error{kResource}
// where it cannot be made.
RunDirectory open_run_directory(const std::string& path, RunUse use);

}  // namespace diabolo
