// What a model carries for people and programs around it, never for arithmetic: the names of its
// features and free entries. In a file, entries of `__metadata__`: "diabolo.feature_names", a name
// a line, and the free ones under their own keys, where other tools see them too.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/safetensors.h"

namespace diabolo {

bool is_utf8(const std::string& text);

struct ModelTexts {
  std::vector<std::string> feature_names;       // one per feature, or none
  std::map<std::string, std::string> metadata;  // by key

  bool operator==(const ModelTexts&) const = default;
};

// Texts are UTF-8 without 0 bytes. Names have no control characters and 4 MiB altogether; keys have
// 1 to 1000 bytes, no control characters, and do not begin with "diabolo"; keys and values have
// 1 MiB altogether. Throws Error{kUsage}.
void check_texts(const ModelTexts& texts, int64_t features);

void write_texts(const ModelTexts& texts, SafetensorsWriter& writer);
// Not checked.
ModelTexts read_texts(const SafetensorsFile& file);

}  // namespace diabolo
