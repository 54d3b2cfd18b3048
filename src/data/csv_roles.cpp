#include "data/csv_roles.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/error.h"

namespace diabolo {
namespace {

std::string names_text(const CsvColumns& table) {
  constexpr size_t kMost = 12;
  std::string text;
  for (size_t i = 0; i < std::min(kMost, table.columns.size()); ++i)
    text += (i > 0 ? ", " : "") + shown(table.columns[i].name);
  return text + (table.columns.size() > kMost ? " ..." : "");
}

// By name, else by number; nothing where there is none.
std::optional<size_t> find_column(const std::string& name, const CsvColumns& table,
                                  const std::string& wanted) {
  const auto is_wanted = [&](const CsvColumns::Column& column) { return column.name == wanted; };
  const auto found = std::ranges::find_if(table.columns, is_wanted);
  if (found != table.columns.end()) {
    if (std::any_of(found + 1, table.columns.end(), is_wanted))
      throw Error(ErrorCode::kUsage, cat(name, ": has several columns ", shown(wanted),
                                         "; say which by its number, from 0"));
    return static_cast<size_t>(found - table.columns.begin());
  }
  size_t number = 0;
  const auto [end, error] = std::from_chars(wanted.data(), wanted.data() + wanted.size(), number);
  const bool is_number = error == std::errc() && end == wanted.data() + wanted.size();
  if (is_number && number < table.columns.size()) return number;
  return std::nullopt;
}

// The names of columns.drop.
std::vector<std::string> split_names(const std::string& text) {
  std::vector<std::string> out;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    out.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

void give(CsvColumns::Column& column, std::optional<FieldRole> role) {
  column.is_kept = role.has_value();
  column.role = role.value_or(FieldRole::kX);
}

void give_asked(const std::string& name, const ColumnNames& asked, CsvColumns& table) {
  for (const auto& [wanted, role] : wanted_columns(asked)) {
    const auto found = find_column(name, table, wanted);
    if (!found && wanted == "none") continue;
    if (!found)
      throw Error(ErrorCode::kUsage, cat(name, ": has no column ", shown(wanted), "; there are ",
                                         table.columns.size(), ": ", names_text(table)));
    CsvColumns::Column& column = table.columns[*found];
    const bool is_again = !role && !column.is_kept;
    if (!is_again && !column.is_free())
      throw Error(ErrorCode::kUsage, cat(name, ": ", table.text(*found),
                                         " cannot be two things: label, id, or left out"));
    give(column, role);
  }
}

}  // namespace

std::vector<Wanted> wanted_columns(const ColumnNames& names) {
  std::vector<Wanted> out;
  if (!names.label.empty()) out.push_back({names.label, FieldRole::kLabel});
  if (!names.id.empty()) out.push_back({names.id, FieldRole::kId});
  for (std::string& one : split_names(names.drop)) out.push_back({std::move(one), std::nullopt});
  return out;
}

std::vector<CsvColumns::Column> columns_called(const std::vector<std::string>& names) {
  std::vector<CsvColumns::Column> out;
  for (size_t i = 0; i < names.size(); ++i) out.push_back({names[i].empty() ? cat(i) : names[i]});
  return out;
}

void give_usual_roles(const std::string& name, const TableOptions& options, CsvColumns& table) {
  ColumnNames usual = options.usual;
  if (!options.columns.label.empty()) usual.label.clear();
  if (!options.columns.id.empty()) usual.id.clear();
  if (!options.columns.drop.empty()) usual.drop.clear();
  for (const auto& [wanted, role] : wanted_columns(usual)) {
    const auto found = find_column(name, table, wanted);
    if (found && table.columns[*found].is_free()) give(table.columns[*found], role);
  }
}

void give_roles(const std::string& name, const TableOptions& options, CsvColumns& table) {
  give_asked(name, options.columns, table);
  give_usual_roles(name, options, table);
}

}  // namespace diabolo
