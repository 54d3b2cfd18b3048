#include "data/csv_columns.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "base/error.h"
#include "data/csv_number.h"
#include "data/rows.h"

namespace diabolo {
namespace {

constexpr size_t kMaxColumns = 1 << 20;
// Labels are looked at so far to tell whether they are integers.
constexpr uint64_t kLookedAtBytes = 64 << 10;

bool is_number(const std::string& cell) {
  double value = 0;
  return parse_cell(cell, value) == CellKind::kNumber;
}

// The one that stands most often in the first line outside of quotes; a comma if none does.
char find_separator(std::string_view record) {
  constexpr std::array kCandidates = {'\t', ';', ','};
  std::array<size_t, kCandidates.size()> counts{};
  bool is_quoted = false;
  for (const char c : record) {
    if (c == '"') is_quoted = !is_quoted;
    const auto found = std::ranges::find(kCandidates, c);
    if (!is_quoted && found != kCandidates.end())
      ++counts[static_cast<size_t>(found - kCandidates.begin())];
  }
  const auto most = std::ranges::max_element(counts);
  return *most == 0 ? ',' : kCandidates[static_cast<size_t>(most - counts.begin())];
}

char separator_of(const OpenOptions& options, std::string_view record) {
  if (!options.table.separator) return find_separator(record);
  return std::array{',', ';', '\t'}.at(static_cast<size_t>(*options.table.separator));
}

// Names stand over numbers. Without a second line, they are what is no number.
bool is_header(const std::vector<std::string>& first, const std::vector<std::string>& second) {
  if (second.empty()) return std::ranges::none_of(first, is_number);
  for (size_t i = 0; i < std::min(first.size(), second.size()); ++i)
    if (!is_missing(first[i]) && !is_number(first[i]) && is_number(second[i])) return true;
  return false;
}

std::string names_text(const CsvColumns& table) {
  constexpr size_t kMost = 12;
  std::string text;
  for (size_t i = 0; i < std::min(kMost, table.columns.size()); ++i)
    text += (i > 0 ? ", " : "") + table.columns[i].name;
  return text + (table.columns.size() > kMost ? " ..." : "");
}

// By name, else by number; nothing where there is none.
std::optional<size_t> find_column(const std::string& name, const CsvColumns& table,
                                  const std::string& wanted) {
  const auto is_wanted = [&](const CsvColumns::Column& column) { return column.name == wanted; };
  const auto found = std::ranges::find_if(table.columns, is_wanted);
  if (found != table.columns.end()) {
    if (std::any_of(found + 1, table.columns.end(), is_wanted))
      throw Error(ErrorCode::kUsage, cat(name, ": has several columns '", wanted,
                                         "'; say which by its number, from 0"));
    return static_cast<size_t>(found - table.columns.begin());
  }
  size_t number = 0;
  const auto [end, error] = std::from_chars(wanted.data(), wanted.data() + wanted.size(), number);
  const bool is_number = error == std::errc() && end == wanted.data() + wanted.size();
  if (is_number && number < table.columns.size()) return number;
  return std::nullopt;
}

// The column that was asked for; nothing where none was, or a usual one is not there.
std::optional<size_t> chosen_column(const std::string& name, const CsvColumns& table,
                                    const std::string& asked, const std::string& usual) {
  const std::string& wanted = asked.empty() ? usual : asked;
  if (wanted.empty()) return std::nullopt;
  const auto found = find_column(name, table, wanted);
  if (!found && !asked.empty())
    throw Error(ErrorCode::kUsage, cat(name, ": has no column '", wanted, "'; there are ",
                                       table.columns.size(), ": ", names_text(table)));
  return found;
}

void choose_roles(const std::string& name, const TableOptions& options, CsvColumns& table) {
  const ColumnNames& asked = options.columns;
  const std::string& dropped = asked.drop.empty() ? options.usual.drop : asked.drop;
  for (size_t begin = 0; begin < dropped.size();) {
    const size_t end = std::min(dropped.find(',', begin), dropped.size());
    const std::string one = dropped.substr(begin, end - begin);
    const auto column = chosen_column(name, table, asked.drop.empty() ? "" : one, one);
    if (column) table.columns[*column].is_kept = false;
    begin = end + 1;
  }
  const auto give = [&](FieldRole role, const std::string& wanted, const std::string& usual) {
    const auto column = chosen_column(name, table, wanted, usual);
    if (!column) return;
    if (table.columns[*column].role != FieldRole::kX ||
        (!table.columns[*column].is_kept && !wanted.empty()))
      throw Error(ErrorCode::kUsage, cat(name, ": ", table.text(*column),
                                         " cannot be two things: label, id, or left out"));
    table.columns[*column].role = role;
  };
  give(FieldRole::kLabel, asked.label, options.usual.label);
  give(FieldRole::kId, asked.id, options.usual.id);
}

DType x_dtype(const std::string& name, const OpenOptions& options) {
  if (!options.dtype) return DType::kF64;
  const bool is_read = *options.dtype != DType::kF16 && *options.dtype != DType::kBf16 &&
                       *options.dtype != DType::kBool;
  if (is_read) return *options.dtype;
  throw Error(ErrorCode::kUsage, cat(name, ": CSV is not read as ", diabolo::name(*options.dtype),
                                     "; there are f64, f32 and integers"));
}

TensorDesc x_row(const std::string& name, const OpenOptions& options, const CsvColumns& table) {
  const auto is_x = [](const CsvColumns::Column& c) {
    return c.is_kept && c.role == FieldRole::kX;
  };
  const auto count = std::ranges::count_if(table.columns, is_x);
  if (count == 0)
    throw Error(ErrorCode::kUsage, name +
                                       ": every column has another role or is left out, so "
                                       "that none is left to look at");
  if (options.row_shape.empty()) return TensorDesc(table.x_dtype, {count});
  const TensorDesc row = checked_row(name, ErrorCode::kUsage, table.x_dtype, options.row_shape);
  if (row.elems() != count)
    throw Error(ErrorCode::kUsage, cat(name, ": has ", count, " columns of numbers, --shape says ",
                                       row.elems(), " for a row"));
  return row;
}

// Looks at the first rows; leaves the records behind them.
DType find_label_dtype(const CsvColumns& table, size_t column, CsvRecords& records) {
  while (records.here().offset < table.first_row.offset + kLookedAtBytes) {
    const auto record = records.next();
    if (!record) break;
    CsvCells cells(*record, table.separator);
    std::string_view cell;
    bool is_there = cells.next(cell);
    for (size_t i = 0; i < column && is_there; ++i) is_there = cells.next(cell);
    int64_t integer = 0;
    if (is_there && parse_cell(cell, integer) != CellKind::kNumber) return DType::kF64;
  }
  return DType::kI64;
}

void find_fields(const std::string& name, const OpenOptions& options, CsvRecords& records,
                 CsvColumns& table) {
  table.x_dtype = x_dtype(name, options);
  table.fields = {{"x", x_row(name, options, table)}};
  for (size_t i = 0; i < table.columns.size(); ++i) {
    const CsvColumns::Column& column = table.columns[i];
    if (!column.is_kept || column.role != FieldRole::kLabel) continue;
    table.label_dtype = find_label_dtype(table, i, records);
    table.fields.push_back({column.name, TensorDesc(table.label_dtype, {}), FieldRole::kLabel});
  }
  for (const CsvColumns::Column& column : table.columns)
    if (column.is_kept && column.role == FieldRole::kId)
      table.fields.push_back({column.name, TensorDesc(), FieldRole::kId, true});
}

}  // namespace

std::string CsvColumns::layout() const {
  std::string text;
  for (const Column& column : columns) text += column.is_kept ? diabolo::name(column.role)[0] : '-';
  return text.find_first_not_of('x') == std::string::npos ? "" : " " + text;
}

std::vector<std::string> CsvColumns::feature_names() const {
  std::vector<std::string> names;
  for (const Column& column : columns)
    if (has_header && column.is_kept && column.role == FieldRole::kX) names.push_back(column.name);
  return names;
}

CsvColumns find_csv_columns(const std::string& name, CsvRecords& records,
                            const OpenOptions& options) {
  const auto fail = [&](const std::string& text) {
    throw Error(ErrorCode::kData, cat(name, ": ", text));
  };
  const auto record = records.next();
  if (!record) fail("has no rows");
  if (record->find('\0') != std::string_view::npos)
    fail("has bytes of 0, as no CSV has; is it packed, or UTF-16? save it as UTF-8");
  CsvColumns table;
  table.separator = separator_of(options, *record);
  const CsvPlace first = records.place(), behind = records.here();
  const std::vector<std::string> cells = csv_cells(name, first.line, *record, table.separator);
  if (cells.size() > kMaxColumns)
    fail(cat("has ", cells.size(), " columns; at most ", kMaxColumns, " are accepted"));
  std::vector<std::string> second;
  if (const auto next = records.next())
    second = csv_cells(name, records.place().line, *next, table.separator);
  table.has_header =
      options.table.header ? *options.table.header == HeaderLine::kYes : is_header(cells, second);
  table.first_row = table.has_header ? behind : first;
  records.restart(table.first_row);
  for (size_t i = 0; i < cells.size(); ++i)
    table.columns.push_back({table.has_header && !cells[i].empty() ? cells[i] : cat(i)});
  choose_roles(name, options.table, table);
  find_fields(name, options, records, table);
  records.restart(table.first_row);
  records.forget();
  if (table.columns.size() == 1) records.take_empty_lines();
  return table;
}

}  // namespace diabolo
