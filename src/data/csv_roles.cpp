#include "data/csv_roles.h"

#include <algorithm>
#include <charconv>
#include <set>
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

// Of the training's table, as it names each column once.
size_t usual_width(const UsualReading& usual) {
  std::set<std::string> names;
  for (const Wanted& wanted : wanted_columns(usual.table.columns))
    if (wanted.column != "none") names.insert(wanted.column);
  return names.size() + static_cast<size_t>(usual.row ? usual.row->elems() : 0);
}

struct Found {
  size_t column = 0;
  bool is_named = false;  // by the header
};

// By name, else by number; nothing where there is none.
std::optional<Found> find_column(const std::string& name, const CsvColumns& table,
                                 const std::string& wanted) {
  const auto is_wanted = [&](const CsvColumns::Column& column) { return column.name == wanted; };
  const auto found = std::ranges::find_if(table.columns, is_wanted);
  if (found != table.columns.end()) {
    if (std::any_of(found + 1, table.columns.end(), is_wanted))
      throw Error(ErrorCode::kUsage, cat(name, ": has several columns ", shown(wanted),
                                         "; say which by its number, from 0"));
    return Found{static_cast<size_t>(found - table.columns.begin()), table.has_header};
  }
  size_t number = 0;
  const auto [end, error] = std::from_chars(wanted.data(), wanted.data() + wanted.size(), number);
  const bool is_number = error == std::errc() && end == wanted.data() + wanted.size();
  if (is_number && number < table.columns.size()) return Found{number, false};
  return std::nullopt;
}

// The names of columns.drop, without the spaces around them.
std::vector<std::string> split_names(const std::string& text) {
  std::vector<std::string> out;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const size_t first = std::min(text.find_first_not_of(' ', begin), end);
    const size_t last = end > first ? text.find_last_not_of(' ', end - 1) + 1 : end;
    if (last > first) out.push_back(text.substr(first, last - first));
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
    CsvColumns::Column& column = table.columns[found->column];
    const bool is_again = !role && !column.is_kept;
    if (!is_again && !column.is_free())
      throw Error(ErrorCode::kUsage, cat(name, ": ", table.text(found->column),
                                         " cannot be two things: label, id, or left out"));
    give(column, role);
  }
}

// How a role is asked for and told; nullopt: left out.
struct RoleWords {
  const char *option, *what;
};
RoleWords words(std::optional<FieldRole> role) {
  if (!role) return {"--drop-columns", "left out"};
  if (*role == FieldRole::kLabel) return {"--label-column", "label column"};
  return {"--id-column", "id column"};
}

// As numbers say it, and say the same of this table.
bool may_be_number(const std::string& name, const UsualReading& usual, const Wanted& wanted,
                   const CsvColumns& table) {
  const size_t columns = table.columns.size();
  if (has_usual_width(usual, columns)) return true;
  const auto features = static_cast<uint64_t>(usual.row ? usual.row->elems() : 0);
  if (columns <= features) return false;
  const RoleWords word = words(wanted.role);
  throw Error(ErrorCode::kUsage,
              cat(name, ": has ", columns, " columns, the table of the training had ",
                  usual_width(usual), ", so that its column ", shown(wanted.column), " (",
                  word.what, ") may be another one here; say ", word.option, " COLUMN, or none"));
}

// Where the header has the names of all features, what stands beside them is none: `row`, as
// results have it where rows were left out, and ids in the first column.
void give_beside_features(const std::string& name, const UsualReading& usual, CsvColumns& table) {
  std::vector<std::string> cells;
  for (const CsvColumns::Column& column : table.columns) cells.push_back(column.name);
  if (!table.has_header || !has_usual_features(usual, cells)) return;
  for (size_t i = 0; i < table.columns.size(); ++i) {
    CsvColumns::Column& column = table.columns[i];
    const bool is_feature = std::ranges::find(usual.features, column.name) != usual.features.end();
    if (is_feature || !column.is_free()) continue;
    if (column.name == "row") {
      give(column, std::nullopt);
    } else if (i == 0) {
      give(column, FieldRole::kId);
    }
  }
  const std::vector<std::string> names = table.feature_names();
  if (names.size() == usual.features.size() && names != usual.features)
    throw Error(ErrorCode::kData,
                cat(name, ": columns ", shown(usual.features.front()), " to ",
                    shown(usual.features.back()), " are in another order; bring them into theirs"));
}

void give_usual(const std::string& name, const OpenOptions& options, CsvColumns& table) {
  ColumnNames usual = options.usual.table.columns;
  const ColumnNames& asked = options.table.columns;
  if (!asked.label.empty()) usual.label.clear();
  if (!asked.id.empty()) usual.id.clear();
  if (!asked.drop.empty()) usual.drop.clear();
  for (const Wanted& wanted : wanted_columns(usual)) {
    const auto found = find_column(name, table, wanted.column);
    if (!found || !table.columns[found->column].is_free()) continue;
    if (!found->is_named && !may_be_number(name, options.usual, wanted, table)) continue;
    give(table.columns[found->column], wanted.role);
    table.note_usual(cat(words(wanted.role).what, " ", shown(table.columns[found->column].name)));
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

void give_free_roles(const std::string& name, const ColumnNames& names, CsvColumns& table) {
  for (const auto& [wanted, role] : wanted_columns(names)) {
    const auto found = find_column(name, table, wanted);
    if (found && table.columns[found->column].is_free()) give(table.columns[found->column], role);
  }
}

bool has_usual_width(const UsualReading& usual, size_t columns) {
  return usual.row && columns == usual_width(usual);
}

bool has_usual_features(const UsualReading& usual, const std::vector<std::string>& cells) {
  const auto has = [&](const std::string& one) {
    return std::ranges::find(cells, one) != cells.end();
  };
  return !usual.features.empty() && std::ranges::all_of(usual.features, has);
}

void give_roles(const std::string& name, const OpenOptions& options, CsvColumns& table) {
  give_asked(name, options.table.columns, table);
  give_usual(name, options, table);
  give_beside_features(name, options.usual, table);
}

ColumnNames other_columns(const CsvColumns& table) {
  const auto reference = [&](size_t i) {
    const std::string& name = table.columns[i].name;
    const bool is_plain =  // in a list
        table.columns[i].is_kept || name.find_first_of(", ") == std::string::npos;
    const bool is_one = std::ranges::count(table.columns, name, &CsvColumns::Column::name) == 1;
    return table.has_header && is_plain && is_one ? name : cat(i);
  };
  ColumnNames out;
  for (size_t i = 0; i < table.columns.size(); ++i) {
    const CsvColumns::Column& column = table.columns[i];
    if (column.is_free()) continue;
    if (!column.is_kept) out.drop += (out.drop.empty() ? "" : ",") + reference(i);
    if (column.is_kept) (column.role == FieldRole::kId ? out.id : out.label) = reference(i);
  }
  return out;
}

}  // namespace diabolo
