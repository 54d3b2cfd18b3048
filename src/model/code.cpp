#include "model/code.h"

#include <algorithm>

#include "base/error.h"

namespace diabolo {
namespace {

#define DIABOLO_CODE(name) &k##name##Code,
constexpr const CodeDef* kCodeDefs[] = {DIABOLO_CODES(DIABOLO_CODE)};
#undef DIABOLO_CODE

}  // namespace

std::vector<const CodeDef*>& changeable_code_defs() {
  static std::vector<const CodeDef*> defs(std::begin(kCodeDefs), std::end(kCodeDefs));
  return defs;
}

std::span<const CodeDef* const> code_defs() {
  return changeable_code_defs();
}

const CodeDef& code_of(const ModelConfig& config) {
  const auto& defs = code_defs();
  const auto found =
      std::ranges::find(defs, config.code.kind, [](const CodeDef* def) { return def->name; });
  DIABOLO_CHECK(found != defs.end(), config.code.kind);
  return **found;
}

std::vector<ConfigKey> keys_of(const CodeDef& code) {
  std::vector<ConfigKey> keys;
  if (!code.options) return keys;
  for (const ModelOption& option : code.options())
    keys.push_back(
        option.key([name = code.name](const Config& c) { return c.model.code.kind == name; }));
  return keys;
}

std::vector<ConfigKey> code_keys() {
  std::vector<ConfigKey> keys;
  for (const CodeDef* def : code_defs())
    for (ConfigKey& key : keys_of(*def)) keys.push_back(std::move(key));
  return keys;
}

}  // namespace diabolo
