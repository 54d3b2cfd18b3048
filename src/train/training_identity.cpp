#include "train/training_identity.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/hash.h"
#include "data/wide.h"
#include "train/train_data.h"

namespace diabolo {
namespace {

// Left out: what does not change the steps.
nlohmann::json steps_of(const Config& resolved) {
  nlohmann::json json = stored_config_json(resolved);
  json.erase("output");
  // How rows are found in files; the rows themselves are hashed.
  for (const char* key :
       {"train", "labels", "label_column", "id_column", "drop_columns", "header", "separator"})
    json["data"].erase(key);
  for (const char* key : {"checkpoint_seconds", "device", "patience", "threads", "validation"})
    json["train"].erase(key);
  // More epochs may be asked for later, unless the schedule was made for that many.
  if (resolved.schedule.kind != ScheduleKind::kCosine) json["train"].erase("epochs");
  return json;
}

nlohmann::json identified(const Config& resolved, const std::string& rows_hash) {
  nlohmann::json json = steps_of(resolved);
  json["rows"] = rows_hash;
  return json;
}

std::string hash_text(const nlohmann::json& json) {
  return hash_of(json.dump()).hex();
}

}  // namespace

std::string training_identity(const Config& resolved, const std::string& rows_hash) {
  return hash_text(identified(resolved, rows_hash));
}

bool is_identity_of(const std::string& identity, const Config& resolved,
                    const std::string& rows_hash) {
  constexpr int kMostThreads = 1024;  // that anybody asked for
  nlohmann::json json = identified(resolved, rows_hash);
  if (identity == hash_text(json)) return true;
  for (int threads = 0; threads <= kMostThreads; ++threads) {
    json["train"]["threads"] = threads;
    if (identity == hash_text(json)) return true;
  }
  return false;
}

namespace {

// "a = 1, now 2; b = …" of the keys that are wanted and differ.
template <class Wanted>
std::string changes(const Config& before, const Config& now, const Wanted& is_wanted) {
  std::string text;
  for (const ConfigKey& key : config_keys()) {
    const std::string was = value_text(key.get(before)), is = value_text(key.get(now));
    if (was != is && is_wanted(key.path()))
      text += cat(text.empty() ? "" : "; ", key.path(), " = ", was, ", now ", is);
  }
  return text;
}

}  // namespace

void fail_of_another_training(const std::string& path, const Config& resolved, DType dtype,
                              const std::string& renamed) {
  const Scale scale = *resolved.data.scale;
  const bool is_fitted = scale == Scale::kStandard || scale == Scale::kMinmax;
  const bool is_split = validation_fraction(resolved).has_value();
  std::string old;
  if (is_fitted && (is_split || is_wide(dtype)))
    old = cat(", or was begun by an early build of 0.1, which fitted the scale ",
              is_split ? "on the held-out rows too" : "in f32");
  throw Error(
      ErrorCode::kModel,
      cat(path, ": belongs to a training with other data or another configuration",
          renamed.empty() ? "" : cat(" (", renamed, ")"), old, "; use --overwrite to start anew"));
}

std::string renamed_files(const Config& before, const Config& now) {
  return changes(before, now, [](const std::string& path) {
    return path == "data.train" || path == "train.validation";
  });
}

std::string changes_of_training(const Config& before, const Config& now) {
  const nlohmann::json old_steps = steps_of(before);
  const nlohmann::json new_steps = steps_of(now);
  return changes(before, now, [&](std::string path) {
    std::ranges::replace(path, '.', '/');
    const nlohmann::json::json_pointer pointer("/" + path);
    return old_steps.contains(pointer) || new_steps.contains(pointer);
  });
}

}  // namespace diabolo
