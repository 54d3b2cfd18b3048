#include "data/csv_header.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/error.h"
#include "data/csv_number.h"
#include "data/csv_roles.h"

namespace diabolo {
namespace {

bool is_number(const std::string& cell) {
  double value = 0;
  return parse_cell(cell, value) == CellKind::kNumber;
}

// Of the first line: what it would be if it is names.
struct FirstLine {
  size_t numbers = 0, names = 0, gaps = 0;
  bool counts = true;  // 0, 1, 2 ... as programs call columns without a name
};

// What stands where a value is not known, in the spellings that are not read as such.
bool is_placeholder(const std::string& cell) {
  constexpr std::array kWords = {"None", "none", "NONE", "n/a", "<NA>", "#N/A", "missing"};
  const auto is_letter = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || (c & 0x80) != 0;
  };
  return std::ranges::find(kWords, cell) != kWords.end() || std::ranges::none_of(cell, is_letter);
}

FirstLine look_at(const std::vector<std::string>& cells, const CsvColumns& numbered) {
  FirstLine out;
  for (size_t i = 0; i < cells.size(); ++i) {
    if (!numbered.columns[i].is_free()) continue;
    if (is_missing(cells[i])) {
      ++out.gaps;
    } else if (!is_number(cells[i])) {
      out.names += is_placeholder(cells[i]) ? 0 : 1;
      out.counts = false;
    } else {
      out.counts = out.counts && cells[i] == cat(out.numbers);
      ++out.numbers;
    }
  }
  return out;
}

// Whether a column that is named and no number stands in the first line.
bool has_wanted_name(const std::vector<std::string>& cells, const OpenOptions& options) {
  for (const ColumnNames* names : {&options.table.columns, &options.usual.table.columns})
    for (const auto& [wanted, role] : wanted_columns(*names))
      if (!is_number(wanted) && std::ranges::find(cells, wanted) != cells.end()) return true;
  return false;
}

}  // namespace

bool is_csv_header(const std::string& name, const std::vector<std::string>& first,
                   const std::vector<std::string>& second, const OpenOptions& options) {
  for (const TableReading* reading : {&options.table, &options.usual.table})
    if (reading->header) return *reading->header == HeaderLine::kYes;
  if (has_wanted_name(first, options) || has_usual_features(options.usual, first)) return true;
  CsvColumns numbered;
  numbered.columns = columns_called(std::vector<std::string>(first.size()));
  give_free_roles(name, options.table.columns, numbered);
  if (has_usual_width(options.usual, first.size()))
    give_free_roles(name, options.usual.table.columns, numbered);
  const FirstLine line = look_at(first, numbered);
  if (line.counts && line.numbers > 2 && line.gaps < 2)
    throw Error(ErrorCode::kUsage,
                cat(name,
                    ": the first line counts 0, 1, 2 ..., as names of columns do that have "
                    "none; say --header yes if it is names, --header no if it is data"));
  if (line.numbers > 0 || line.names == 0) return false;
  bool has_numbers = false, has_text = false;
  for (size_t i = 0; i < std::min(first.size(), second.size()); ++i) {
    if (!numbered.columns[i].is_free() || is_missing(second[i])) continue;
    (is_number(second[i]) ? has_numbers : has_text) = true;
  }
  return has_numbers || !has_text;
}

}  // namespace diabolo
