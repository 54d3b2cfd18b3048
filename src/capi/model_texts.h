// Texts and thresholds that come in through the C interface on their way into a model.
#pragma once

#include <cstdint>

#include "diabolo/diabolo.h"
#include "model/model_file.h"
#include "model/model_texts.h"

namespace diabolo::capi {

// The fields that several structs have.
struct GivenTexts {
  const char* const* feature_names = nullptr;
  uint64_t feature_name_count = 0;
  const diabolo_entry* metadata = nullptr;
  uint64_t metadata_count = 0;
};

// Names take the place of those in texts; entries are added, or removed where they have no value.
// name: of the struct, for messages. Throws Error{kUsage} for null; check_texts does the rest.
void add_texts(const char* name, const GivenTexts& given, ModelTexts& texts);

// A threshold of the caller's. Throws Error{kUsage} unless it is finite and positive.
double required_threshold(const char* name, double value);

// Gives the model such a threshold; its hash is not that of its file any more.
void choose_threshold(const char* name, double value, ModelFile& model);

}  // namespace diabolo::capi
