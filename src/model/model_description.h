// What a model file says in its metadata beside the tensors, as JSON: configuration, row, scaling's
// kind, threshold, provenance.
#pragma once

#include <string>

#include "model/model_file.h"

namespace diabolo {

std::string description_of(const ModelFile& model);
// file: for messages. Throws Error{kModel}, and {kUsage} for keys and combinations.
void read_description(const std::string& text, const std::string& file, ModelFile& model);

}  // namespace diabolo
