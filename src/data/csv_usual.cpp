#include "data/csv_usual.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "base/error.h"
#include "data/csv_roles.h"

namespace diabolo {
namespace {

// Of the training's table, as it tells each column once.
size_t usual_width(const UsualReading& usual) {
  std::set<std::string> told;
  for (const Wanted& wanted : wanted_columns(usual.table.columns))
    told.insert(wanted.column.text());
  return told.size() + static_cast<size_t>(usual.row ? usual.row->elems() : 0);
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
                  usual_width(usual), ", so that its column ", wanted.column.text(), " (",
                  word.what, ") may be another one here; say ", word.option, " COLUMN, or none"));
}

std::vector<std::string> names_of(const CsvColumns& table) {
  std::vector<std::string> names;
  for (const CsvColumns::Column& column : table.columns) names.push_back(column.name);
  return names;
}

void require_no_ids(const std::string& name, const CsvColumns& table) {
  for (const CsvColumns::Column& column : table.columns)
    if (column.is_kept && column.role == FieldRole::kId)
      throw Error(ErrorCode::kUsage,
                  cat(name, ": columns ", shown(table.columns.front().name), " and ",
                      shown(column.name), " may both hold ids; say --id-column COLUMN"));
}

// As results have it: `row`, with a _ for each other column of that name.
std::string name_of_numbers(const CsvColumns& table, const std::set<std::string>& features) {
  const auto is_taken = [&](const std::string& name) {
    return features.contains(name) ||
           std::ranges::any_of(table.columns, [&](const CsvColumns::Column& column) {
             return column.role == FieldRole::kId && column.name == name;
           });
  };
  std::string name = "row";
  while (is_taken(name)) name += '_';
  return name;
}

// Where the header has the names of all features, what stands beside them is none: the
// numbers of the rows, as results have them where some were left out, and ids in the first column.
void give_beside_features(const std::string& name, const UsualReading& usual, CsvColumns& table) {
  if (!table.has_header || !has_usual_features(usual, names_of(table))) return;
  const std::set<std::string> features(usual.features.begin(), usual.features.end());
  const std::string numbers = name_of_numbers(table, features);
  for (size_t i = 0; i < table.columns.size(); ++i) {
    CsvColumns::Column& column = table.columns[i];
    if (features.contains(column.name) || !column.is_free()) continue;
    if (column.name == numbers) {
      give(column, FieldRole::kRow);
    } else if (i == 0 && usual.has_ids_first) {
      require_no_ids(name, table);
      give(column, FieldRole::kId);
    }
  }
  const std::vector<std::string> names = table.feature_names();
  if (names.size() != usual.features.size() || names == usual.features) return;
  const auto at = std::ranges::mismatch(names, usual.features);
  throw Error(ErrorCode::kData, cat(name, ": feature ", at.in1 - names.begin(), " is column ",
                                    shown(*at.in1), ", in training it was ", shown(*at.in2),
                                    ": the columns are in another order; bring them into theirs"));
}

// What is told by a name is that name and nothing else. Returns what the table lacks.
std::vector<Wanted> give_usual(const std::string& name, const OpenOptions& options,
                               CsvColumns& table) {
  ColumnNames usual = settled(options.usual.table.columns, false);
  const ColumnNames& asked = options.table.columns;
  if (!asked.label.empty()) usual.label.clear();
  if (!asked.id.empty()) usual.id.clear();
  if (!asked.drop.empty()) usual.drop.clear();
  std::vector<Wanted> missing;
  for (const Wanted& wanted : wanted_columns(usual)) {
    const auto found = find_column(name, table, wanted.column);
    if (found && !table.columns[*found].is_free()) continue;
    if (wanted.column.number && !may_be_number(name, options.usual, wanted, table)) continue;
    if (!found) missing.push_back(wanted);
    if (!found) continue;
    give(table.columns[*found], wanted.role);
    table.note_usual(cat(words(wanted.role).what, " ", shown(table.columns[*found].name)));
  }
  return missing;
}

// The first name that the other side lacks.
std::optional<std::string> first_absent(const std::vector<std::string>& names,
                                        const std::vector<std::string>& other) {
  const std::set<std::string> known(other.begin(), other.end());
  for (const std::string& one : names)
    if (!known.contains(one)) return one;
  return std::nullopt;
}

// Why there are more or fewer features than usual; empty where nobody knows.
std::string why_other_width(const OpenOptions& options, const std::vector<Wanted>& missing,
                            const CsvColumns& table) {
  std::string text;
  const auto add = [&](const std::string& more) { text += (text.empty() ? "" : "; ") + more; };
  const std::vector<std::string> here = table.feature_names();
  const auto few =
      static_cast<int64_t>(std::ranges::count_if(table.columns, &CsvColumns::Column::is_free));
  const bool has_more = few > options.usual.row->elems();
  if (!missing.empty() && has_more) {
    const RoleWords word = words(missing.front().role);
    add(cat("column ", missing.front().column.text(), " of the training (", word.what,
            table.has_header ? ") is not in its header" : ") is known by name, and it has no names",
            ": say ", word.option, " COLUMN, or none"));
  }
  if (here.empty() || options.usual.features.empty()) return text;
  if (const auto absent = first_absent(options.usual.features, here))
    add(cat("column ", shown(*absent), " is missing"));
  if (const auto unknown = first_absent(here, options.usual.features))
    add(cat("column ", shown(*unknown), " is none of the training's features (--drop-columns ",
            "leaves it out)"));
  return text;
}

void require_usual_features(const std::string& name, const OpenOptions& options,
                            const std::vector<Wanted>& missing, const CsvColumns& table) {
  const auto count = std::ranges::count_if(table.columns, &CsvColumns::Column::is_free);
  if (!options.usual.row || !options.row_shape.empty() || count == 0) return;
  if (count == options.usual.row->elems()) return;
  const std::string why = why_other_width(options, missing, table);
  if (!why.empty())
    throw Error(ErrorCode::kData, cat(name, ": expected ", options.usual.row->elems(),
                                      " columns of numbers, found ", count, ": ", why));
}

}  // namespace

bool has_usual_width(const UsualReading& usual, size_t columns) {
  return usual.row && columns == usual_width(usual);
}

bool has_usual_features(const UsualReading& usual, const std::vector<std::string>& cells) {
  return !usual.features.empty() && !first_absent(usual.features, cells);
}

void give_usual_roles(const std::string& name, const OpenOptions& options, CsvColumns& table) {
  const std::vector<Wanted> missing = give_usual(name, options, table);
  give_beside_features(name, options.usual, table);
  require_usual_features(name, options, missing, table);
}

}  // namespace diabolo
