// What a model says of itself in text, and copies of it with other texts and another threshold.
#include "capi/model_texts.h"

#include <cmath>
#include <iterator>

#include "capi/arguments.h"
#include "capi/handles.h"
#include "capi/status.h"
#include "model/config_toml.h"

namespace diabolo::capi {

namespace {

std::string text_of(const Model& model, diabolo_text which) {
  const ModelFile& file = model.file;
  check_choice("which", which, DIABOLO_TEXT_HASH, DIABOLO_TEXT_SCALE);
  if (which == DIABOLO_TEXT_HASH) return file.hash.empty() ? model_file_hash(file) : file.hash;
  if (which == DIABOLO_TEXT_CONFIG) return config_toml(file.config);
  if (which == DIABOLO_TEXT_VERSION) return file.provenance.version;
  return which == DIABOLO_TEXT_DATA ? file.provenance.data : name(file.scaling.kind);
}

// Made when first asked for.
const char* kept_text(const Model& model, diabolo_text which) {
  const std::lock_guard lock(model.texts_mutex);
  const auto found = model.texts.find(which);
  if (found != model.texts.end()) return found->second.c_str();
  return model.texts.emplace(which, text_of(model, which)).first->second.c_str();
}

const char* feature_name(const Model& model, uint64_t feature) {
  const auto features = static_cast<uint64_t>(model.inference.features());
  if (feature >= features)
    throw Error(ErrorCode::kUsage,
                cat("feature: expected a number from 0 to ", features - 1, ", found ", feature));
  const std::vector<std::string>& names = model.file.texts.feature_names;
  return names.empty() ? nullptr : names[feature].c_str();
}

const char* metadata_of(const Model& model, const std::string& key) {
  const auto& all = model.file.texts.metadata;
  const auto found = all.find(key);
  return found == all.end() ? nullptr : found->second.c_str();
}

diabolo_entry metadata_at(const Model& model, uint64_t index) {
  const auto& all = model.file.texts.metadata;
  if (index >= all.size())
    throw Error(ErrorCode::kUsage,
                cat("index: the model has ", all.size(), " entries of metadata, found ", index));
  const auto& [key, value] = *std::next(all.begin(), static_cast<ptrdiff_t>(index));
  return {key.c_str(), value.c_str()};
}

void put_scaling(const char* name, const std::vector<float>& values,
                 const std::vector<double>& wide, double* to, uint64_t room) {
  if (!to) return;
  const std::span<double> out = output_of(name, to, room, values.size(), 1);
  if (wide.empty())
    std::ranges::copy(values, out.begin());
  else
    std::ranges::copy(wide, out.begin());
}

ModelFile changed(const ModelFile& model, const diabolo_model_changes& changes) {
  ModelFile out = model;
  if (changes.threshold != 0) choose_threshold("changes.threshold", changes.threshold, out);
  add_texts(
      "changes",
      {changes.feature_names, changes.feature_name_count, changes.metadata, changes.metadata_count},
      out.texts);
  check_texts(out.texts, out.features());
  out.hash.clear();
  return out;
}

}  // namespace

double required_threshold(const char* name, double value) {
  if (!std::isfinite(value) || value < 0)
    throw Error(ErrorCode::kUsage, cat(name, ": expected a number above 0, found ", value));
  return value;
}

void choose_threshold(const char* name, double value, ModelFile& model) {
  model.threshold = required_threshold(name, value);
  model.threshold_quantile = 0;
  model.threshold_from = ThresholdFrom::kChosen;
  model.threshold_rows = 0;
  model.hash.clear();
}

void add_texts(const char* name, const GivenTexts& given, ModelTexts& texts) {
  if (given.feature_name_count > 0) {
    const std::string list = cat(name, ".feature_names");
    const char* const* names = &required(list.c_str(), given.feature_names);
    texts.feature_names.clear();
    for (uint64_t i = 0; i < given.feature_name_count; ++i)
      texts.feature_names.emplace_back(&required("a feature name", names[i]));
  }
  if (given.metadata_count == 0) return;
  const diabolo_entry* entries = &required(cat(name, ".metadata").c_str(), given.metadata);
  for (uint64_t i = 0; i < given.metadata_count; ++i) {
    const std::string key = &required("a metadata key", entries[i].key);
    texts.metadata.erase(key);
    if (entries[i].value) texts.metadata.emplace(key, entries[i].value);
  }
}

}  // namespace diabolo::capi

using namespace diabolo::capi;

diabolo_status diabolo_model_text(const diabolo_model* model, diabolo_text which,
                                  const char** text) {
  return guarded(__func__, [&] {
    required("text", text) = nullptr;
    *text = kept_text(*find_model(model), which);
  });
}

diabolo_status diabolo_model_feature_name(const diabolo_model* model, uint64_t feature,
                                          const char** name) {
  return guarded(__func__, [&] {
    required("name", name) = nullptr;
    *name = feature_name(*find_model(model), feature);
  });
}

diabolo_status diabolo_model_metadata(const diabolo_model* model, const char* key,
                                      const char** value) {
  return guarded(__func__, [&] {
    required("value", value) = nullptr;
    *value = metadata_of(*find_model(model), &required("key", key));
  });
}

diabolo_status diabolo_model_metadata_at(const diabolo_model* model, uint64_t index,
                                         diabolo_entry* entry) {
  return guarded(__func__, [&] {
    required("entry", entry) = {};
    *entry = metadata_at(*find_model(model), index);
  });
}

diabolo_status diabolo_model_scaling(const diabolo_model* model, double* shift, double* scale,
                                     uint64_t room) {
  return guarded(__func__, [&] {
    const auto found = find_model(model);
    const diabolo::Scaling& of = found->file.scaling;
    put_scaling("shift", of.shift, of.wide.shift, shift, room);
    put_scaling("scale", of.scale, of.wide.scale, scale, room);
  });
}

diabolo_status diabolo_model_with(const diabolo_model* model, const diabolo_model_changes* changes,
                                  diabolo_model** result) {
  return guarded(__func__, [&] {
    required("changed", result) = nullptr;
    const auto found = find_model(model);
    const diabolo_model_changes given = options_or_defaults("changes", changes);
    *result = new_handle(std::make_shared<Model>(*found, changed(found->file, given)));
  });
}
