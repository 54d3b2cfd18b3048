#include "data/csv_rows.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "data/csv_number.h"

namespace diabolo {
namespace {

// The types that cells are read as.
template <class T>
constexpr DType kDType = DType::kBool;
template <>
constexpr DType kDType<float> = DType::kF32;
template <>
constexpr DType kDType<double> = DType::kF64;
template <>
constexpr DType kDType<uint8_t> = DType::kU8;
template <>
constexpr DType kDType<int8_t> = DType::kI8;
template <>
constexpr DType kDType<uint16_t> = DType::kU16;
template <>
constexpr DType kDType<int16_t> = DType::kI16;
template <>
constexpr DType kDType<uint32_t> = DType::kU32;
template <>
constexpr DType kDType<int32_t> = DType::kI32;
template <>
constexpr DType kDType<uint64_t> = DType::kU64;
template <>
constexpr DType kDType<int64_t> = DType::kI64;

// A longer one is no name, and blocks of rows keep those of all of them.
constexpr size_t kMaxIdBytes = 4 << 10;

bool is_some_number(std::string_view cell) {
  double value = 0;
  return parse_cell(cell, value) == CellKind::kNumber;
}

// Of a number: what rounds to 0 is none, where any other number is an anomaly.
bool is_not_zero(std::string_view number) {
  const std::string_view digits = number.substr(0, number.find_first_of("eE"));
  return digits.find_first_of("123456789") != std::string_view::npos;
}

// Where one row's cells go; null: nobody wants them.
struct Places {
  std::byte* x = nullptr;
  std::byte* label = nullptr;
  std::byte* row = nullptr;
  std::string* id = nullptr;
};

Places places_of(const CsvColumns& table, uint64_t to, std::span<const FieldRows> wanted) {
  Places out;
  for (const FieldRows& place : wanted) {
    const Field& field = table.fields[place.field];
    if (field.role == FieldRole::kX) out.x = place.bytes.data() + to * field.row.bytes();
    if (field.role == FieldRole::kLabel) out.label = place.bytes.data() + to * field.row.bytes();
    if (field.role == FieldRole::kRow) out.row = place.bytes.data() + to * field.row.bytes();
    if (field.role == FieldRole::kId) out.id = &place.texts[to];
  }
  return out;
}

}  // namespace

void CsvRowParser::fail(const CsvRow& row, size_t column, const std::string& text) const {
  throw Error(ErrorCode::kData, cat(name_, ": row ", row.row, " (line ", row.line, ")", text),
              DataPosition{row.row, column});
}

void CsvRowParser::fail_cell(const CsvRow& row, size_t column, std::string_view cell, DType dtype,
                             bool is_text) const {
  const std::string place = cat(", ", table_.text(column), ": ");
  if (!is_text) fail(row, column, cat(place, shown(cell), " is beyond ", diabolo::name(dtype)));
  if (table_.columns[column].role == FieldRole::kLabel)
    fail(row, column,
         cat(place, shown(cell), " is no ", is_float(dtype) ? "number" : "integer",
             ", as labels are",
             is_float(dtype) ? ""
                             : ", the first of them integers (write one of those as 0.0, and they "
                               "are numbers)"));
  if (table_.columns[column].role == FieldRole::kRow)
    fail(row, column,
         cat(place, shown(cell), " is no number of a row (--drop-columns row leaves them out)"));
  if (is_missing(cell))
    fail(row, column,
         cat(place, cell.empty() ? "an empty cell" : shown(cell), " is no ", diabolo::name(dtype),
             " (leave --dtype out, then --on-bad-value applies)"));
  if (is_some_number(cell))
    fail(row, column,
         cat(place, shown(cell), " is no ", diabolo::name(dtype), " (leave --dtype out)"));
  fail(row, column,
       cat(place, shown(cell), " is no number; use --drop-columns, --label-column or ",
           "--id-column for columns that are not to be looked at",
           row.row == 0 && !table_.has_header
               ? ", or --header yes if the first line is the columns' names"
               : ""));
}

template <class T>
T CsvRowParser::number(const CsvRow& row, size_t column, std::string_view cell) const {
  T value{};
  const CellKind kind = parse_cell(cell, value);
  const bool is_good =
      kind == CellKind::kNumber || (std::is_floating_point_v<T> && kind == CellKind::kMissing);
  if (!is_good) fail_cell(row, column, cell, kDType<T>, kind != CellKind::kBeyond);
  return value;
}

void CsvRowParser::put_label(const CsvRow& row, size_t column, std::string_view cell,
                             std::byte* label) const {
  if (table_.label_dtype == DType::kI64) {
    const auto value = number<int64_t>(row, column, cell);
    std::memcpy(label, &value, sizeof value);
  } else {
    auto value = number<double>(row, column, cell);
    if (value == 0 && is_not_zero(cell)) value = std::numeric_limits<double>::min();
    std::memcpy(label, &value, sizeof value);
  }
}

template <class X>
void CsvRowParser::parse_as(const CsvRow& row, uint64_t to,
                            std::span<const FieldRows> wanted) const {
  Places places = places_of(table_, to, wanted);
  CsvCells cells(row.record, table_.separator);
  size_t column = 0;
  for (std::string_view cell; cells.next(cell); ++column) {
    if (cells.trouble()) break;
    if (column >= table_.columns.size()) continue;  // counted, for the message
    const CsvColumns::Column& is = table_.columns[column];
    if (!is.is_kept) continue;
    if (is.role == FieldRole::kX && places.x) {
      const X value = number<X>(row, column, cell);
      std::memcpy(places.x, &value, sizeof value);
      places.x += sizeof value;
    } else if (is.role == FieldRole::kLabel && places.label) {
      put_label(row, column, cell, places.label);
    } else if (is.role == FieldRole::kRow && places.row) {
      const auto value = number<uint64_t>(row, column, cell);
      std::memcpy(places.row, &value, sizeof value);
    } else if (is.role == FieldRole::kId && places.id) {
      if (cell.size() > kMaxIdBytes)
        fail(row, column,
             cat(", ", table_.text(column), ": an id of ", cell.size(), " bytes; at most ",
                 kMaxIdBytes, " are accepted; is that the column of the ids?"));
      places.id->assign(cell);
    }
  }
  if (cells.trouble()) fail(row, column, cat(": ", cells.trouble()));
  if (column == table_.columns.size()) return;
  fail(row, std::min(column, table_.columns.size()),
       cat(": has ", column, " cells, the first line has ", table_.columns.size()));
}

void CsvRowParser::parse(const CsvRow& row, uint64_t to, std::span<const FieldRows> places) const {
  switch (table_.x_dtype) {
    case DType::kF32:
      return parse_as<float>(row, to, places);
    case DType::kU8:
      return parse_as<uint8_t>(row, to, places);
    case DType::kI8:
      return parse_as<int8_t>(row, to, places);
    case DType::kU16:
      return parse_as<uint16_t>(row, to, places);
    case DType::kI16:
      return parse_as<int16_t>(row, to, places);
    case DType::kU32:
      return parse_as<uint32_t>(row, to, places);
    case DType::kI32:
      return parse_as<int32_t>(row, to, places);
    case DType::kU64:
      return parse_as<uint64_t>(row, to, places);
    case DType::kI64:
      return parse_as<int64_t>(row, to, places);
    default:
      return parse_as<double>(row, to, places);
  }
}

}  // namespace diabolo
