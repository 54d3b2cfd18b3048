#include "data/csv_header.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/error.h"
#include "data/csv_number.h"
#include "data/csv_roles.h"
#include "data/csv_usual.h"

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

// Whether a name that is asked for, and no number, stands in the first line.
bool has_wanted_name(const std::vector<std::string>& cells, const OpenOptions& options) {
  for (const ColumnNames* names : {&options.table.columns, &options.usual.table.columns})
    for (const auto& [wanted, role] : wanted_columns(*names)) {
      const bool is_told = names == &options.table.columns && !wanted.number;
      const bool is_name = wanted.may_be_name() && (is_told || !is_number(wanted.name));
      if (is_name && std::ranges::find(cells, wanted.name) != cells.end()) return true;
    }
  return false;
}

// All names of features, of which one at least is no number: those may be a row of data.
bool has_telling_features(const UsualReading& usual, const std::vector<std::string>& cells) {
  return has_usual_features(usual, cells) && !std::ranges::all_of(usual.features, is_number);
}

// A first line that is usually names, but here has as many numbers as there are features.
void require_no_row(const std::string& name, const UsualReading& usual,
                    const std::vector<std::string>& cells) {
  const auto numbers = static_cast<size_t>(std::ranges::count_if(cells, is_number));
  const size_t features = usual.row ? static_cast<size_t>(usual.row->elems()) : cells.size();
  if (numbers < std::max<size_t>(1, features) || has_usual_features(usual, cells)) return;
  throw Error(ErrorCode::kUsage,
              cat(name, ": the first line is numbers, and none of the names that the training's ",
                  "table has there; say --header no if it is data, --header yes if it is names"));
}

}  // namespace

bool is_csv_header(const std::string& name, const std::vector<std::string>& first,
                   const std::vector<std::string>& second, const OpenOptions& options) {
  if (options.table.header) return *options.table.header == HeaderLine::kYes;
  const auto& usual = options.usual.table.header;
  if (usual == HeaderLine::kYes) require_no_row(name, options.usual, first);
  if (usual) return *usual == HeaderLine::kYes;
  if (has_wanted_name(first, options) || has_telling_features(options.usual, first)) return true;
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
