#include "model/json_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace diabolo {
namespace {

// The deepest nesting of brackets outside strings.
int depth_of(std::string_view text) {
  int depth = 0, deepest = 0;
  bool is_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_string) {
      if (c == '\\') ++i;
      is_string = c != '"';
    } else if (c == '"') {
      is_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

nlohmann::json parse_json_text(std::string_view text, const std::string& name, ErrorCode code) {
  const auto fail = [&](const char* what) { throw Error(code, cat(name, ": ", what)); };
  if (text.size() > kMaxJsonBytes) fail("the description is longer than 1 MiB");
  if (depth_of(text) > kMaxJsonDepth) fail("the description is nested too deeply");
  auto json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_discarded()) fail("the description is not JSON");
  return json;
}

}  // namespace diabolo
