#include "model/config.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

namespace diabolo {

const char* name(Precision precision) {
  constexpr const char* kNames[] = {"f32", "tf32", "bf16"};
  return kNames[static_cast<int>(precision)];
}

kernels::OptimizerRule OptimizerConfig::rule() const {
  kernels::OptimizerRule rule;
  rule.kind = kind;
  rule.beta1 = static_cast<float>(beta1);
  rule.beta2 = static_cast<float>(beta2);
  rule.epsilon = static_cast<float>(epsilon);
  rule.weight_decay = static_cast<float>(weight_decay);
  rule.momentum = static_cast<float>(momentum);
  rule.clip_norm = static_cast<float>(clip_norm);
  return rule;
}

std::string ConfigKey::path() const {
  return table + "." + name;
}

const ConfigKey* find_config_key(std::string_view path) {
  for (const ConfigKey& key : config_keys())
    if (key.path() == path) return &key;
  return nullptr;
}

namespace {

constexpr size_t kMaxListItems = 64;

// Levenshtein's distance.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

// Enough to have been meant.
bool is_near(std::string_view name, std::string_view other) {
  return edit_distance(name, other) <= (name.size() + 2) / 3;
}

std::string number_text(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e17)
    return std::to_string(static_cast<int64_t>(value));
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
}

// A number that is finite, if text is one from end to end.
std::optional<double> number_of(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_whole = error == std::errc() && end == text.data() + text.size();
  return is_whole && std::isfinite(value) ? std::optional(value) : std::nullopt;
}

[[noreturn]] void fail_value(const ConfigKey& key, const std::string& found) {
  throw Error(ErrorCode::kUsage, cat(key.path(), ": expected ", type_text(key), ", found ", found));
}

// Whether the value is of the key's own type; integers are numbers too.
bool is_of_type(const ConfigKey& key, const ConfigValue& value) {
  const bool is_integer = std::holds_alternative<int64_t>(value);
  switch (key.type) {
    case ConfigType::kBool:
      return std::holds_alternative<bool>(value);
    case ConfigType::kInt:
      return is_integer;
    case ConfigType::kFloat:
      return is_integer || std::holds_alternative<double>(value);
    case ConfigType::kText:
    case ConfigType::kChoice:
      return std::holds_alternative<std::string>(value);
    case ConfigType::kIntList:
      return std::holds_alternative<std::vector<int64_t>>(value);
    case ConfigType::kTextList:
      return std::holds_alternative<std::vector<std::string>>(value);
  }
  return false;
}

bool is_in_range(const ConfigKey& key, const ConfigValue& value) {
  const auto within = [&](double number) { return number >= key.low && number <= key.high; };
  if (const auto* integer = std::get_if<int64_t>(&value)) {
    const auto number = static_cast<double>(*integer);
    const bool is_widened = key.type == ConfigType::kFloat;
    return within(number) && (is_widened || static_cast<int64_t>(number) == *integer);
  }
  if (const auto* number = std::get_if<double>(&value)) return within(*number);
  if (const auto* list = std::get_if<std::vector<int64_t>>(&value))
    return list->size() <= kMaxListItems && std::ranges::all_of(*list, [&](int64_t item) {
             return within(static_cast<double>(item));
           });
  if (const auto* list = std::get_if<std::vector<std::string>>(&value))
    return list->size() <= kMaxListItems;
  if (key.type != ConfigType::kChoice) return true;
  const auto& text = std::get<std::string>(value);
  return std::ranges::any_of(key.choices,
                             [&](const std::string& choice) { return text == choice; });
}

// A key's name is enough of it to be near.
std::string hint(std::string_view path) {
  const bool has_table = path.find('.') != std::string_view::npos;
  const ConfigKey& nearest = *std::ranges::min_element(
      config_keys(), {},
      [&](const ConfigKey& key) { return edit_distance(path, has_table ? key.path() : key.name); });
  if (!is_near(path, has_table ? nearest.path() : nearest.name))
    return "diabolo train --help-config lists them";
  return cat("did you mean \"", nearest.path(), "\"?");
}

const ConfigKey& require_key(std::string_view path) {
  if (const ConfigKey* key = find_config_key(path)) return *key;
  throw Error(ErrorCode::kUsage, cat("unknown key \"", path, "\"; ", hint(path)));
}

nlohmann::json json_of(const ConfigValue& value) {
  return std::visit([](const auto& v) { return nlohmann::json(v); }, value);
}

// An empty one is one of integers; see set_config.
ConfigValue list_of(const nlohmann::json& json, std::string_view path) {
  std::vector<int64_t> numbers;
  std::vector<std::string> texts;
  for (const auto& item : json) {
    const bool is_integer = item.is_number_integer() && !item.is_number_unsigned();
    if (is_integer || (item.is_number_unsigned() && item.get<uint64_t>() <= uint64_t{INT64_MAX}))
      numbers.push_back(item.get<int64_t>());
    if (item.is_string()) texts.push_back(item.get<std::string>());
  }
  if (numbers.size() == json.size()) return numbers;
  if (texts.size() == json.size()) return texts;
  throw Error(ErrorCode::kUsage, cat(path, ": a list may hold integers only, or texts only"));
}

ConfigValue value_of(const nlohmann::json& json, std::string_view path) {
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number_unsigned() && json.get<uint64_t>() <= uint64_t{INT64_MAX})
    return static_cast<int64_t>(json.get<uint64_t>());
  if (json.is_number_integer() && !json.is_number_unsigned()) return json.get<int64_t>();
  if (json.is_number_float()) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  if (json.is_array()) return list_of(json, path);
  throw Error(ErrorCode::kUsage, cat(path, ": no value that a key can have"));
}

template <class IsWanted>
nlohmann::json json_of_keys(const Config& config, const IsWanted& is_wanted) {
  nlohmann::json json = nlohmann::json::object();
  for (const ConfigKey& key : config_keys()) {
    if (!is_wanted(key)) continue;
    std::string pointer = cat("/", key.path());
    std::ranges::replace(pointer, '.', '/');
    json[nlohmann::json::json_pointer(pointer)] = json_of(key.get(config));
  }
  return json;
}

void set_all(Config& config, const nlohmann::json& json, const std::string& prefix) {
  for (const auto& [name, child] : json.items()) {
    const std::string path = prefix.empty() ? name : prefix + "." + name;
    if (child.is_object()) {
      set_all(config, child, path);
      continue;
    }
    if (!find_config_key(path))
      throw Error(ErrorCode::kUsage, cat("configuration: ", value_text(path),
                                         " is no key of this version of diabolo; use the newer one "
                                         "that wrote it"));
    set_config(config, path, value_of(child, path));
  }
}

}  // namespace

std::string did_you_mean(std::string_view name, std::span<const std::string> names,
                         std::string_view otherwise, char quote) {
  const auto distance = [&](const std::string& other) { return edit_distance(name, other); };
  const auto nearest = std::ranges::min_element(names, {}, distance);
  if (nearest == names.end() || !is_near(name, *nearest)) return std::string(otherwise);
  return cat("did you mean ", quote, *nearest, quote, "?");
}

void set_config(Config& config, std::string_view path, const ConfigValue& value) {
  const ConfigKey& key = require_key(path);
  const auto* numbers = std::get_if<std::vector<int64_t>>(&value);
  if (key.type == ConfigType::kTextList && numbers && numbers->empty())
    return key.set(config, std::vector<std::string>());
  if (!is_of_type(key, value) || !is_in_range(key, value)) fail_value(key, value_text(value));
  // The value is not copied: where that runs out of memory, gcc 12's variant destroys what it has
  // not made yet.
  const auto* integer = std::get_if<int64_t>(&value);
  const bool is_widened = key.type == ConfigType::kFloat && integer;
  is_widened ? key.set(config, static_cast<double>(*integer)) : key.set(config, value);
}

void set_config_text(Config& config, std::string_view path, std::string_view text) {
  const ConfigKey& key = require_key(path);
  const bool is_text = key.type == ConfigType::kText || key.type == ConfigType::kChoice;
  if (is_text) return set_config(config, path, std::string(text));
  // As people write them too: .5, 1., +2
  if (const auto number = number_of(text); key.type == ConfigType::kFloat && number)
    return set_config(config, path, *number);
  // Numbers, true, false and lists of numbers are written alike in TOML and JSON.
  const auto json =
      text.size() > 4096 ? nlohmann::json() : nlohmann::json::parse(text, nullptr, false);
  if (json.is_discarded() || json.is_null() || json.is_object())
    fail_value(key, "\"" + std::string(text.substr(0, 64)) + "\"");
  set_config(config, path, value_of(json, path));
}

std::string type_text(const ConfigKey& key) {
  const std::string range = cat(" from ", number_text(key.low), " to ", number_text(key.high));
  switch (key.type) {
    case ConfigType::kBool:
      return "true or false";
    case ConfigType::kInt:
      return "an integer" + range;
    case ConfigType::kFloat:
      return "a number" + range;
    case ConfigType::kText:
      return "text";
    case ConfigType::kIntList:
      return cat("a list of at most ", kMaxListItems, " integers", range);
    case ConfigType::kTextList:
      return cat("a list of at most ", kMaxListItems, " texts");
    case ConfigType::kChoice:
      break;
  }
  std::string text = "one of";
  for (const std::string& choice : key.choices) text += cat(text.size() > 6 ? ", " : " ", choice);
  return text;
}

std::string value_text(const ConfigValue& value) {
  // JSON's and TOML's spelling agree for these types, but for floats that are not finite.
  if (const auto* number = std::get_if<double>(&value); number && !std::isfinite(*number))
    return std::isnan(*number) ? "nan" : *number < 0 ? "-inf" : "inf";
  return json_of(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

nlohmann::json config_json(const Config& config) {
  return json_of_keys(config, [&, defaults = Config()](const ConfigKey& key) {
    return !key.applies || key.applies(config) || key.get(config) != key.get(defaults);
  });
}

nlohmann::json stored_config_json(const Config& config) {
  return json_of_keys(config, [&, defaults = Config()](const ConfigKey& key) {
    return !key.applies || (key.applies(config) && key.get(config) != key.get(defaults));
  });
}

Config config_from_json(const nlohmann::json& json) {
  if (!json.is_object()) throw Error(ErrorCode::kUsage, "configuration: expected a table");
  Config config;
  set_all(config, json, "");
  return config;
}

}  // namespace diabolo
