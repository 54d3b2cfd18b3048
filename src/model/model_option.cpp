// Keys that kinds of codes and terms bring.
#include "base/error.h"
#include "model/config.h"

namespace diabolo {

OptionValue ModelOption::value(const ModelConfig& model) const {
  const auto found = model.options.find(path());
  return found == model.options.end() ? standard : found->second;
}

namespace {

ConfigValue config_value(ConfigType type, const OptionValue& value) {
  switch (type) {
    case ConfigType::kBool:
      return value.number != 0;
    case ConfigType::kInt:
      return static_cast<int64_t>(value.number);
    case ConfigType::kFloat:
      return value.number;
    case ConfigType::kText:
    case ConfigType::kChoice:
      return value.text;
    case ConfigType::kIntList:
      return value.list;
    case ConfigType::kTextList:
      break;
  }
  throw InternalError("no type of an option");
}

struct ToOptionValue {
  OptionValue operator()(const std::string& text) const { return {.text = text}; }
  OptionValue operator()(const std::vector<int64_t>& list) const { return {.list = list}; }
  OptionValue operator()(const std::vector<std::string>&) const {
    throw InternalError("no type of an option");
  }
  template <class Number>
  OptionValue operator()(Number number) const {
    return {.number = static_cast<double>(number)};
  }
};

}  // namespace

ConfigKey ModelOption::key(std::function<bool(const Config&)> applies) const {
  ConfigKey key{.table = table,
                .name = name,
                .type = type,
                .meaning = meaning,
                .low = low,
                .high = high,
                .choices = choices};
  key.applies = std::move(applies);
  key.get = [option = *this](const Config& c) {
    return config_value(option.type, option.value(c.model));
  };
  key.set = [path = path()](Config& c, const ConfigValue& value) {
    c.model.options.insert_or_assign(path, std::visit(ToOptionValue(), value));
  };
  return key;
}

}  // namespace diabolo
