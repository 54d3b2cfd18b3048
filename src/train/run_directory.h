// The folder that a training writes to: names of its files, when it may be used, and that one
// training at a time uses it.
#pragma once

#include <memory>
#include <string>

#include "base/file_system.h"

namespace diabolo {

enum class RunUse {
  kNew,        // must be absent or empty, or hold nothing but what a failed start left
  kResume,     // must hold a checkpoint
  kOverwrite,  // files of an earlier run in it are replaced; others stay
};

class RunClaim;

struct RunDirectory {
  std::string path;
  std::shared_ptr<RunClaim> claim = {};  // null: only names are wanted

  std::string model() const { return path + "/model.safetensors"; }
  std::string checkpoint() const { return path + "/checkpoint.safetensors"; }
  std::string config() const { return path + "/config.toml"; }
  std::string metrics() const { return path + "/metrics.jsonl"; }

  // The three moments of a training that starts anew. Its checkpoint comes first: where that finds
  // no room, an earlier training is not lost.
  void begin() const;  // from here on files appear; if it fails, what it made goes
  // The checkpoint is there; the metrics of an earlier training go. Its model stays until the new
  // training has one, so that there always is one to work with.
  void replace_earlier() const;
  void keep() const;  // from here on there is something to resume from
  // Before anything is written: Error{kBusy} in a child made by fork(), where the parent goes on,
  // Error{kResource} where somebody has removed the folder, which may be another's by now.
  void require_ours() const;
};

// Whether a path leads to a file of the directory, its lock included.
bool is_file_of_run(const RunDirectory& directory, const std::string& path,
                    FileSystem& fs = real_file_system());
// Before a training that reads `path`: Error{kUsage} if it writes that very file.
void require_not_written(const RunDirectory& directory, const std::string& path,
                         FileSystem& fs = real_file_system());

// Creates the folder where needed and claims it for as long as a copy of the result lives: until
// then every other call, of any process or thread, throws Error{kBusy}. The claim comes before
// anything in the folder is read. Throws Error{kUsage} for one that is not empty (kNew; "use
// --resume or --overwrite") or has files of these names that no training wrote (kOverwrite),
// Error{kModel} for one without a checkpoint (kResume), Error{kResource} where it cannot be made or
// locked. What is refused stays as it was.
RunDirectory open_run_directory(const std::string& path, RunUse use,
                                FileSystem& fs = real_file_system());

}  // namespace diabolo
