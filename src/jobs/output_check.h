// What an output would replace: never what is read, never what somebody else made.
#pragma once

#include <string>

#include "base/file_system.h"

namespace diabolo {

// Before anything is written to `output`, its partial files and the list of rows beside it. Throws
// Error{kUsage} where one of these is the input or the model, where the output is a file of the run
// directory that holds the model, and where the list's name belongs to anything but such a list.
// `model` may be empty: not in a file.
void require_output_is_free(const std::string& output, const std::string& input,
                            const std::string& model, FileSystem& fs);

}  // namespace diabolo
