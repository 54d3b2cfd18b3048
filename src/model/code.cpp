#include "model/code.h"

#include <algorithm>

#include "base/error.h"

namespace diabolo {
namespace {

#define DIABOLO_CODE(name) &k##name##Code,
constexpr const CodeDef* kCodeDefs[] = {DIABOLO_CODES(DIABOLO_CODE)};
#undef DIABOLO_CODE

}  // namespace

std::span<const CodeDef* const> code_defs() {
  return kCodeDefs;
}

const CodeDef& code_of(const ModelConfig& config) {
  const auto* const found = std::ranges::find(
      kCodeDefs, config.code.kind, [](const CodeDef* def) { return std::string(def->name); });
  DIABOLO_CHECK(found != std::end(kCodeDefs), config.code.kind);
  return **found;
}

std::vector<ConfigKey> code_keys() {
  std::vector<ConfigKey> keys;
  for (const CodeDef* def : kCodeDefs) {
    if (!def->options) continue;
    for (const ModelOption& option : def->options())
      keys.push_back(option.key([def](const Config& c) { return c.model.code.kind == def->name; }));
  }
  return keys;
}

}  // namespace diabolo
