#include "model/model_texts.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"

namespace diabolo {

bool is_utf8(const std::string& text) {
  try {
    (void)nlohmann::json(text).dump();
    return true;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

namespace {

// Both limits together stay below that of a header (safetensors_header.h), whatever has to be
// escaped: in names a quote or a backslash doubles, in values a control character takes six bytes.
constexpr size_t kMostNameBytes = 4 << 20;
constexpr size_t kMostMetadataBytes = 1 << 20;
constexpr size_t kMostKeyBytes = 1000;
constexpr std::string_view kOurs = "diabolo";
constexpr const char* kFeatureNames = "diabolo.feature_names";

bool has_control(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; });
}

void require(bool is_met, const std::string& what, const char* expected) {
  if (!is_met) throw Error(ErrorCode::kUsage, cat(what, ": expected ", expected));
}

void check_names(const std::vector<std::string>& names, int64_t features) {
  if (names.empty()) return;
  if (names.size() != static_cast<size_t>(features))
    throw Error(ErrorCode::kUsage, cat("feature names: expected one for each of ", features,
                                       " features, found ", names.size()));
  size_t bytes = 0;
  for (size_t i = 0; i < names.size(); ++i) {
    bytes += names[i].size() + 1;
    require(is_utf8(names[i]) && !has_control(names[i]), cat("feature name ", i),
            "UTF-8 without control characters");
  }
  require(bytes <= kMostNameBytes, "feature names", "at most 4 MiB altogether");
}

void check_metadata(const std::map<std::string, std::string>& metadata) {
  size_t bytes = 0;
  for (const auto& [key, value] : metadata) {
    bytes += key.size() + value.size();
    require(!key.empty() && key.size() <= kMostKeyBytes && is_utf8(key) && !has_control(key),
            "metadata key", "1 to 1000 bytes of UTF-8 without control characters");
    require(!key.starts_with(kOurs), cat("metadata key ", key),
            "one that does not begin with diabolo, which is the library's");
    require(is_utf8(value) && value.find('\0') == std::string::npos, cat("metadata ", key),
            "UTF-8 without 0 bytes");
  }
  require(bytes <= kMostMetadataBytes, "metadata", "at most 1 MiB altogether");
}

std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) (out += line) += '\n';
  return out;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> out;
  for (size_t end; (end = text.find('\n')) != std::string_view::npos; text.remove_prefix(end + 1))
    out.emplace_back(text.substr(0, end));
  return out;
}

}  // namespace

void check_texts(const ModelTexts& texts, int64_t features) {
  check_names(texts.feature_names, features);
  check_metadata(texts.metadata);
}

void write_texts(const ModelTexts& texts, SafetensorsWriter& writer) {
  if (!texts.feature_names.empty()) writer.set_metadata(kFeatureNames, joined(texts.feature_names));
  for (const auto& [key, value] : texts.metadata) writer.set_metadata(key, value);
}

ModelTexts read_texts(const SafetensorsFile& file) {
  ModelTexts out;
  for (const auto& [key, value] : file.metadata()) {
    if (key == kFeatureNames) out.feature_names = split(value);
    if (!key.starts_with(kOurs)) out.metadata.emplace(key, value);
  }
  return out;
}

}  // namespace diabolo
