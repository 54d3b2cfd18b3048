#include "data/csv_columns.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "data/csv_header.h"
#include "data/csv_number.h"
#include "data/csv_roles.h"
#include "data/rows.h"

namespace diabolo {
namespace {

constexpr size_t kMaxColumns = 1 << 20;
// Labels are looked at so far to tell whether they are integers.
constexpr uint64_t kLookedAtBytes = 64 << 10;

// As Separator counts them.
constexpr std::array kSeparators = {',', ';', '\t'};
constexpr std::array kSeparatorNames = {"comma", "semicolon", "tab"};

// How often each stands in the first line outside of quotes.
std::array<size_t, kSeparators.size()> count_separators(std::string_view record) {
  std::array<size_t, kSeparators.size()> counts{};
  bool is_quoted = false;
  for (const char c : record) {
    if (c == '"') is_quoted = !is_quoted;
    const auto found = std::ranges::find(kSeparators, c);
    if (!is_quoted && found != kSeparators.end())
      ++counts[static_cast<size_t>(found - kSeparators.begin())];
  }
  return counts;
}

// A line end of old that is none here; within quotes it is text.
bool has_bare_return(std::string_view record) {
  bool is_quoted = false;
  for (const char c : record) {
    if (c == '"') is_quoted = !is_quoted;
    if (c == '\r' && !is_quoted) return true;
  }
  return false;
}

// A usual one is taken where it stands in the first line.
void choose_separator(const OpenOptions& options, std::string_view record, CsvColumns& table) {
  const auto& usual = options.usual.table.separator;
  const auto counts = count_separators(record);
  const auto at = [](Separator one) { return static_cast<size_t>(one); };
  if (options.table.separator) {
    table.separator = kSeparators.at(at(*options.table.separator));
  } else if (usual && counts.at(at(*usual)) > 0) {
    table.separator = kSeparators.at(at(*usual));
    table.note_usual(cat("separator ", kSeparatorNames.at(at(*usual))));
  } else {
    size_t most = 0;  // of as many, the rarer one in numbers and names
    for (size_t i = 1; i < counts.size(); ++i)
      if (counts.at(i) > 0 && counts.at(i) >= counts.at(most)) most = i;
    table.separator = kSeparators.at(most);
  }
}

bool is_read(DType dtype) {
  return dtype != DType::kF16 && dtype != DType::kBf16 && dtype != DType::kBool;
}

DType x_dtype(const std::string& name, const OpenOptions& options, CsvColumns& table) {
  const auto usual = options.usual.dtype;
  if (!options.dtype && usual && is_read(*usual)) {
    table.note_usual(cat("numbers ", diabolo::name(*usual)));
    return *usual;
  }
  if (!options.dtype) return DType::kF64;
  if (is_read(*options.dtype)) return *options.dtype;
  throw Error(ErrorCode::kUsage, cat(name, ": CSV is not read as ", diabolo::name(*options.dtype),
                                     "; there are f64, f32 and integers"));
}

TensorDesc x_row(const std::string& name, const OpenOptions& options, const CsvColumns& table) {
  const auto count = std::ranges::count_if(table.columns, &CsvColumns::Column::is_free);
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
  table.x_dtype = x_dtype(name, options, table);
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
  for (const CsvColumns::Column& column : table.columns)
    if (column.is_kept && column.role == FieldRole::kRow)
      table.fields.push_back({column.name, TensorDesc(DType::kU64, {}), FieldRole::kRow});
}

}  // namespace

std::string CsvColumns::layout() const {
  std::string text = has_header ? "names;" : "data;";
  for (const Column& column : columns) text += column.is_kept ? diabolo::name(column.role)[0] : '-';
  return text;
}

std::vector<std::string> CsvColumns::feature_names() const {
  std::vector<std::string> names;
  for (const Column& column : columns)
    if (has_header && column.is_free()) names.push_back(column.name);
  return names;
}

size_t CsvColumns::column_of(uint64_t feature) const {
  size_t column = 0;
  for (uint64_t left = feature + 1; column < columns.size(); ++column)
    if (columns[column].is_free() && --left == 0) break;
  return std::min(column, columns.size() - 1);
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
  choose_separator(options, *record, table);
  const CsvPlace first = records.place(), behind = records.here();
  if (has_bare_return(*record))
    fail(cat("line ", first.line, ": line ends are CR alone; save it with LF, or CR and LF"));
  const std::vector<std::string> cells =
      csv_cells(name, first.line, *record, table.separator, kMaxColumns);
  std::vector<std::string> second;
  if (const auto next = records.next())
    second = csv_cells(name, records.place().line, *next, table.separator, kMaxColumns);
  table.has_header = is_csv_header(name, cells, second, options);
  if (!options.table.header && options.usual.table.header)
    table.note_usual(table.has_header ? "header yes" : "header no");
  table.first_row = table.has_header ? behind : first;
  records.restart(table.first_row);
  table.columns = columns_called(table.has_header ? cells : std::vector<std::string>(cells.size()));
  give_roles(name, options, table);
  find_fields(name, options, records, table);
  records.restart(table.first_row);
  records.forget();
  if (table.columns.size() == 1) records.take_empty_lines();
  return table;
}

}  // namespace diabolo
