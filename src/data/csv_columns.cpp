#include "data/csv_columns.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <optional>
#include <utility>

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

// A line end of old that is none here; within quotes it is text.
bool has_bare_return(std::string_view record) {
  bool is_quoted = false;
  for (const char c : record) {
    if (c == '"') is_quoted = !is_quoted;
    if (c == '\r' && !is_quoted) return true;
  }
  return false;
}

char separator_of(const OpenOptions& options, std::string_view record) {
  if (!options.table.separator) return find_separator(record);
  return std::array{',', ';', '\t'}.at(static_cast<size_t>(*options.table.separator));
}

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

// The columns that one side names, with what they are for; no role: left out.
struct Wanted {
  std::string column;
  std::optional<FieldRole> role;
};

std::vector<Wanted> wanted_columns(const ColumnNames& names) {
  std::vector<Wanted> out;
  if (!names.label.empty()) out.push_back({names.label, FieldRole::kLabel});
  if (!names.id.empty()) out.push_back({names.id, FieldRole::kId});
  for (std::string& one : split_names(names.drop)) out.push_back({std::move(one), std::nullopt});
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

// What the other side asks for goes before: a usual column of another role now is passed over.
void give_usual(const std::string& name, const TableOptions& options, CsvColumns& table) {
  ColumnNames usual = options.usual;
  if (!options.columns.label.empty()) usual.label.clear();
  if (!options.columns.id.empty()) usual.id.clear();
  if (!options.columns.drop.empty()) usual.drop.clear();
  for (const auto& [wanted, role] : wanted_columns(usual)) {
    const auto found = find_column(name, table, wanted);
    if (found && table.columns[*found].is_free()) give(table.columns[*found], role);
  }
}

void choose_roles(const std::string& name, const TableOptions& options, CsvColumns& table) {
  give_asked(name, options.columns, table);
  give_usual(name, options, table);
}

std::vector<CsvColumns::Column> columns_called(const std::vector<std::string>& names) {
  std::vector<CsvColumns::Column> out;
  for (size_t i = 0; i < names.size(); ++i) out.push_back({names[i].empty() ? cat(i) : names[i]});
  return out;
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
bool has_wanted_name(const std::vector<std::string>& cells, const TableOptions& options) {
  for (const ColumnNames* names : {&options.columns, &options.usual})
    for (const auto& [wanted, role] : wanted_columns(*names))
      if (!is_number(wanted) && std::ranges::find(cells, wanted) != cells.end()) return true;
  return false;
}

// Names stand over numbers, and no number among them: of the columns that are features, as ids and
// what is left out may be text in every row.
bool is_header(const std::string& name, const std::vector<std::string>& first,
               const std::vector<std::string>& second, const TableOptions& options) {
  if (options.header) return *options.header == HeaderLine::kYes;
  if (has_wanted_name(first, options)) return true;
  CsvColumns numbered;
  numbered.columns = columns_called(std::vector<std::string>(first.size()));
  give_usual(name, {.usual = options.columns}, numbered);
  give_usual(name, options, numbered);
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

DType x_dtype(const std::string& name, const OpenOptions& options) {
  if (!options.dtype) return DType::kF64;
  const bool is_read = *options.dtype != DType::kF16 && *options.dtype != DType::kBf16 &&
                       *options.dtype != DType::kBool;
  if (is_read) return *options.dtype;
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
  if (has_bare_return(*record))
    fail(cat("line ", first.line, ": line ends are CR alone; save it with LF, or CR and LF"));
  const std::vector<std::string> cells =
      csv_cells(name, first.line, *record, table.separator, kMaxColumns);
  std::vector<std::string> second;
  if (const auto next = records.next())
    second = csv_cells(name, records.place().line, *next, table.separator, kMaxColumns);
  table.has_header = is_header(name, cells, second, options.table);
  table.first_row = table.has_header ? behind : first;
  records.restart(table.first_row);
  table.columns = columns_called(table.has_header ? cells : std::vector<std::string>(cells.size()));
  choose_roles(name, options.table, table);
  find_fields(name, options, records, table);
  records.restart(table.first_row);
  records.forget();
  if (table.columns.size() == 1) records.take_empty_lines();
  return table;
}

}  // namespace diabolo
