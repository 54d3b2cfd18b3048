// Files that a model was made from, found again later only if they are still the same.
#pragma once

#include <string>

#include "data/dataset.h"
#include "model/model_file.h"

namespace diabolo {

// The stamp of the file that data come from, which is read once more. Empty for standard input,
// pipes, rows in memory, and a file that was replaced since it was opened.
FileStamp stamp_of(const Dataset& data);

// Why the file of a stamp cannot stand for itself any more: "PATH is not there", "PATH is not the
// file that the model was trained on ..."; empty where it is that file, to the byte. Reads it whole
// unless its size tells.
std::string why_not_usable(const FileStamp& stamp);

}  // namespace diabolo
