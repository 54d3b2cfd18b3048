#include "model/config_toml.h"

#include <toml++/toml.h>

#include "base/file.h"

namespace diabolo {
namespace {

constexpr int kMaxDots = 8;  // in one line, outside of strings
constexpr size_t kMaxPathBytes = 200;
constexpr int kMaxBrackets = 2;  // "[[" of a header, or a list in a list

// One line, whatever the file holds.
[[noreturn]] void fail(const std::string& place, std::string_view text) {
  std::string message = cat(place, ": ", text);
  for (char& c : message)
    if (static_cast<unsigned char>(c) < 0x20) c = '?';
  throw Error(ErrorCode::kUsage, message);
}

// Refuses what would let the general parser build deeply nested tables (its limit on nesting does
// not count the parts of dotted keys), before it sees the text.
class NestingCheck {
 public:
  NestingCheck(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  void run() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"' || c == '\'') {
        skip_string(c);
      } else if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else {
        take(c);
        ++at_;
      }
    }
  }

 private:
  std::string place() const { return cat(name_, ": line ", line_); }

  void skip_string(char quote) {
    if (text_.substr(at_, 3) == std::string(3, quote))
      fail(place(), "multi-line strings are not taken here (use a string in one line)");
    for (++at_; at_ < text_.size() && text_[at_] != quote && text_[at_] != '\n'; ++at_)
      if (text_[at_] == '\\' && quote == '"') ++at_;
    if (at_ < text_.size() && text_[at_] == quote) ++at_;
  }

  void take(char c) {
    if (c == '\n') {
      ++line_;
      dots_ = 0;
    }
    if (c == '.' && ++dots_ > kMaxDots) fail(place(), "a key of too many parts");
    if (c == '{') fail(place(), "inline tables are not taken here (use a [table])");
    if (c == '[' && ++brackets_ > kMaxBrackets) fail(place(), "lists are nested too deeply");
    if (c == ']') --brackets_;
  }

  std::string_view text_;
  const std::string& name_;
  size_t at_ = 0;
  int line_ = 1, dots_ = 0, brackets_ = 0;
};

std::string place_of(const std::string& name, const toml::node& node) {
  return cat(name, ": line ", node.source().begin.line);
}

ConfigValue list_of(const toml::array& array, const std::string& place, const std::string& path) {
  std::vector<int64_t> numbers;
  std::vector<std::string> texts;
  for (const toml::node& entry : array) {
    if (entry.is_integer()) numbers.push_back(entry.as_integer()->get());
    if (entry.is_string()) texts.push_back(entry.as_string()->get());
  }
  if (numbers.size() == array.size()) return numbers;
  if (texts.size() == array.size()) return texts;
  fail(place, cat(path, ": expected a list of integers, or of texts"));
}

ConfigValue value_of(const toml::node& node, const std::string& place, const std::string& path) {
  if (node.is_boolean()) return node.as_boolean()->get();
  if (node.is_integer()) return node.as_integer()->get();
  if (node.is_floating_point()) return node.as_floating_point()->get();
  if (node.is_string()) return node.as_string()->get();
  if (node.is_array()) return list_of(*node.as_array(), place, path);
  fail(place, cat(path, ": expected a number, true, false, a string or a list, found a date"));
}

// Depth-first. The depth is bounded by NestingCheck.
void collect(const toml::table& table, const std::string& prefix, const std::string& name,
             std::vector<ConfigAssignment>& out) {
  for (const auto& [key, node] : table) {
    const std::string path = prefix + std::string(key.str());
    if (path.size() > kMaxPathBytes) fail(place_of(name, node), "a key of too many characters");
    if (node.is_table()) {
      collect(*node.as_table(), path + ".", name, out);
      continue;
    }
    const std::string place = place_of(name, node);
    out.push_back({path, value_of(node, place, path), place});
  }
}

toml::table parse(std::string_view text, const std::string& name) {
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    fail(cat(name, ": line ", error.source().begin.line, ", column ", error.source().begin.column),
         error.description());
  }
}

}  // namespace

std::vector<ConfigAssignment> parse_config_toml(std::string_view text, const std::string& name) {
  if (text.size() > kMaxConfigBytes)
    fail(name,
         cat("a configuration has at most ", kMaxConfigBytes, " bytes, this has ", text.size()));
  NestingCheck(text, name).run();
  std::vector<ConfigAssignment> assignments;
  collect(parse(text, name), "", name, assignments);
  Config scratch;
  assign(assignments, scratch);
  return assignments;
}

std::vector<ConfigAssignment> read_config_toml(const std::string& path) {
  const std::string text = read_file(path, kMaxConfigBytes, {.code = ErrorCode::kUsage});
  return parse_config_toml(text, path == "-" ? "standard input" : path);
}

void assign(std::span<const ConfigAssignment> assignments, Config& config) {
  for (const ConfigAssignment& assignment : assignments) {
    try {
      set_config(config, assignment.path, assignment.value);
    } catch (const Error& error) {
      fail(assignment.place, error.what());
    }
  }
}

std::string config_toml(const Config& config, bool with_meanings) {
  std::string out;
  std::string_view table;
  for (const ConfigKey& key : config_keys()) {
    if (!with_meanings && key.applies && !key.applies(config)) continue;
    if (key.table != table) {
      table = key.table;
      out += cat(out.empty() ? "" : "\n", "[", table, "]\n");
    }
    if (with_meanings) out += cat("# ", type_text(key), ": ", key.meaning, "\n");
    out += cat(key.name, " = ", value_text(key.get(config)), "\n");
  }
  return out;
}

}  // namespace diabolo
