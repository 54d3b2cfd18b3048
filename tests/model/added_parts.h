// Parts of models that are known to a test alone, for as long as one of these lives.
#pragma once

#include <algorithm>

#include "model/code.h"
#include "model/config.h"
#include "model/term.h"

namespace diabolo {

// Keys at the end of their tables, gone again when this goes.
class AddedKeys {
 public:
  explicit AddedKeys(const std::vector<ConfigKey>& keys) {
    for (const ConfigKey& key : keys) add(key);
  }
  ~AddedKeys() {
    std::erase_if(changeable_config_keys(), [&](const ConfigKey& key) {
      return std::ranges::find(paths_, key.path()) != paths_.end();
    });
  }
  AddedKeys(AddedKeys&&) = delete;

 private:
  void add(const ConfigKey& key) {
    auto& all = changeable_config_keys();
    const auto last = std::ranges::find(all.rbegin(), all.rend(), key.table, &ConfigKey::table);
    all.insert(last.base(), key);
    paths_.push_back(key.path());
  }

  std::vector<std::string> paths_;
};

class WithPenalty {
 public:
  explicit WithPenalty(const TermDef& def) : keys_(keys_of(def)) {
    changeable_term_defs().push_back(&def);
  }
  ~WithPenalty() { changeable_term_defs().pop_back(); }
  WithPenalty(WithPenalty&&) = delete;

 private:
  AddedKeys keys_;
};

// A kind of code.
class WithCode {
 public:
  explicit WithCode(const CodeDef& def) : keys_(keys_of(def)) {
    changeable_code_defs().push_back(&def);
    choices().emplace_back(def.name);
  }
  ~WithCode() {
    choices().pop_back();
    changeable_code_defs().pop_back();
  }
  WithCode(WithCode&&) = delete;

 private:
  static std::vector<std::string>& choices() {
    return std::ranges::find(changeable_config_keys(), "model.code.kind", &ConfigKey::path)
        ->choices;
  }

  AddedKeys keys_;
};

}  // namespace diabolo
