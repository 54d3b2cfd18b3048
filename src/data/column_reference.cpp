#include "data/column_reference.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "base/error.h"
#include "data/csv_text.h"

namespace diabolo {
namespace {

constexpr std::string_view kName = "name:";
constexpr std::string_view kNumber = "number:";

std::optional<size_t> number_of(std::string_view text) {
  size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_number = !text.empty() && error == std::errc() && end == text.data() + text.size();
  return is_number ? std::optional(number) : std::nullopt;
}

std::string settled(const std::string& text, bool had_names) {
  const ColumnReference is = column_reference(text);
  if (is.by != ColumnReference::By::kEither || !is.number) return text;
  return had_names ? name_reference(text) : number_reference(*is.number);
}

}  // namespace

std::string ColumnReference::text() const {
  return may_be_name() ? shown(name) : cat("number ", *number);
}

ColumnReference column_reference(const std::string& text) {
  using By = ColumnReference::By;
  if (text.starts_with(kName)) return {By::kName, text.substr(kName.size()), std::nullopt};
  if (!text.starts_with(kNumber)) return {By::kEither, text, number_of(text)};
  const auto number = number_of(std::string_view(text).substr(kNumber.size()));
  if (!number)
    throw Error(ErrorCode::kUsage, cat("column ", shown(text),
                                       ": expected number:N, N from 0 (name:TEXT is a column "
                                       "of that name, whatever it is)"));
  return {By::kNumber, "", number};
}

std::string name_reference(const std::string& name) {
  const bool is_plain =
      !number_of(name) && name != "none" && !name.starts_with(kName) && !name.starts_with(kNumber);
  return is_plain ? name : cat(kName, name);
}

std::string number_reference(size_t number) {
  return cat(kNumber, number);
}

std::vector<std::string> drop_entries(const std::string& drop) {
  std::vector<std::string> out;
  for (size_t begin = 0; begin < drop.size();) {
    const size_t end = std::min(drop.find(',', begin), drop.size());
    const size_t first = std::min(drop.find_first_not_of(' ', begin), end);
    const size_t last = end > first ? drop.find_last_not_of(' ', end - 1) + 1 : end;
    if (last > first) out.push_back(drop.substr(first, last - first));
    begin = end + 1;
  }
  return out;
}

bool is_drop_entry(const std::string& text) {
  return drop_entries(text) == std::vector{text};
}

ColumnNames settled(const ColumnNames& names, bool had_names) {
  ColumnNames out{settled(names.label, had_names), settled(names.id, had_names)};
  for (const std::string& entry : drop_entries(names.drop))
    out.drop += (out.drop.empty() ? "" : ",") + settled(entry, had_names);
  return out;
}

}  // namespace diabolo
