// Files that a model was made from, found again later only if they are still the same.
#pragma once

#include <string>

#include "base/log.h"
#include "data/dataset.h"

namespace diabolo {

// A file by its place and its content, so that another one at that place is not taken for it.
struct FileStamp {
  std::string path = {};     // absolute; empty: no file, or a model from before this was kept
  std::string content = {};  // File::content_identity
};

// A stamp, and what told that the file was still the same without reading it (File::identity).
struct KnownFile {
  FileStamp stamp;
  std::string identity = {};
};

// The stamp of the file that data come from, which is read once more, with a line where that takes
// its time, unless it is `known` already. Empty for standard input, pipes, rows in memory, and
// a file that was replaced since it was opened.
KnownFile stamp_of(const Dataset& data, const Log& log, const KnownFile& known = {});

// Why the file of a stamp cannot stand for itself any more: "PATH is not there", "PATH is not the
// file that the model was trained on ..."; empty where it is that file, to the byte. Reads it whole
// unless its size tells.
std::string why_not_usable(const FileStamp& stamp);

}  // namespace diabolo
