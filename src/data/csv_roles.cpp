#include "data/csv_roles.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "data/csv_usual.h"

namespace diabolo {
namespace {

std::string names_text(const CsvColumns& table) {
  constexpr size_t kMost = 12;
  std::string text;
  for (size_t i = 0; i < std::min(kMost, table.columns.size()); ++i)
    text += (i > 0 ? ", " : "") + shown(table.columns[i].name);
  return text + (table.columns.size() > kMost ? " ..." : "");
}

void give_asked(const std::string& name, const ColumnNames& asked, CsvColumns& table) {
  for (const auto& [wanted, role] : wanted_columns(asked)) {
    const auto found = find_column(name, table, wanted);
    if (!found && wanted.by == ColumnReference::By::kEither && wanted.name == "none") continue;
    if (!found)
      throw Error(ErrorCode::kUsage, cat(name, ": has no column ", wanted.text(), "; there are ",
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

RoleWords words(std::optional<FieldRole> role) {
  if (!role) return {"--drop-columns", "left out"};
  if (*role == FieldRole::kLabel) return {"--label-column", "label column"};
  return {"--id-column", "id column"};
}

void give(CsvColumns::Column& column, std::optional<FieldRole> role) {
  column.is_kept = role.has_value();
  column.role = role.value_or(FieldRole::kX);
}

std::optional<size_t> find_column(const std::string& name, const CsvColumns& table,
                                  const ColumnReference& wanted) {
  const auto is_wanted = [&](const CsvColumns::Column& column) {
    return column.is_named && column.name == wanted.name;
  };
  const auto found =
      wanted.may_be_name() ? std::ranges::find_if(table.columns, is_wanted) : table.columns.end();
  if (found == table.columns.end()) {
    if (wanted.number && *wanted.number < table.columns.size()) return wanted.number;
    return std::nullopt;
  }
  if (std::any_of(found + 1, table.columns.end(), is_wanted))
    throw Error(ErrorCode::kUsage, cat(name, ": has several columns ", wanted.text(),
                                       "; say which by its number, from 0"));
  return static_cast<size_t>(found - table.columns.begin());
}

std::vector<Wanted> wanted_columns(const ColumnNames& names) {
  std::vector<Wanted> out;
  if (!names.label.empty()) out.push_back({column_reference(names.label), FieldRole::kLabel});
  if (!names.id.empty()) out.push_back({column_reference(names.id), FieldRole::kId});
  for (const std::string& one : drop_entries(names.drop))
    out.push_back({column_reference(one), std::nullopt});
  return out;
}

std::vector<CsvColumns::Column> columns_called(const std::vector<std::string>& names) {
  std::vector<CsvColumns::Column> out;
  for (size_t i = 0; i < names.size(); ++i)
    out.push_back({.name = names[i].empty() ? cat(i) : names[i], .is_named = !names[i].empty()});
  return out;
}

void give_free_roles(const std::string& name, const ColumnNames& names, CsvColumns& table) {
  for (const auto& [wanted, role] : wanted_columns(names)) {
    const auto found = find_column(name, table, wanted);
    if (found && table.columns[*found].is_free()) give(table.columns[*found], role);
  }
}

void give_roles(const std::string& name, const OpenOptions& options, CsvColumns& table) {
  give_asked(name, options.table.columns, table);
  give_usual_roles(name, options, table);
}

ColumnNames other_columns(const CsvColumns& table) {
  const auto reference = [&](size_t i) {
    const CsvColumns::Column& is = table.columns[i];
    const auto same = std::ranges::count(table.columns, is.name, &CsvColumns::Column::name);
    const bool is_told = is.is_named && same == 1 && (is.is_kept || is_drop_entry(is.name));
    return is_told ? name_reference(is.name) : number_reference(i);
  };
  ColumnNames out;
  for (size_t i = 0; i < table.columns.size(); ++i) {
    const CsvColumns::Column& column = table.columns[i];
    if (column.is_free() || column.role == FieldRole::kRow) continue;
    if (!column.is_kept) out.drop += (out.drop.empty() ? "" : ",") + reference(i);
    if (column.is_kept) (column.role == FieldRole::kId ? out.id : out.label) = reference(i);
  }
  return out;
}

}  // namespace diabolo
