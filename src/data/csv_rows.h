// Records of a CSV table as rows: each cell goes where its column belongs.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "data/csv_columns.h"
#include "data/dataset.h"

namespace diabolo {

// The record of a row, and where it stands, for messages.
struct CsvRow {
  std::string_view record;
  uint64_t row = 0;   // of the table
  uint64_t line = 0;  // of the file
};

class CsvRowParser {
 public:
  // Both are borrowed. name: of the file.
  CsvRowParser(const std::string& name, const CsvColumns& table) : name_(name), table_(table) {}

  // Puts the cells of a row to index `to` of the places. Throws Error{kData} naming row, line and
  // column for text where numbers belong, integers beyond their type, and rows that have more or
  // fewer cells than the table; its position is the row's in the table and the column's.
  void parse(const CsvRow& row, uint64_t to, std::span<const FieldRows> places) const;

 private:
  template <class X>
  void parse_as(const CsvRow& row, uint64_t to, std::span<const FieldRows> places) const;
  template <class T>
  T number(const CsvRow& row, size_t column, std::string_view cell) const;
  void put_label(const CsvRow& row, size_t column, std::string_view cell, std::byte* label) const;
  [[noreturn]] void fail(const CsvRow& row, size_t column, const std::string& text) const;
  [[noreturn]] void fail_cell(const CsvRow& row, size_t column, std::string_view cell, DType dtype,
                              bool is_text) const;

  const std::string& name_;
  const CsvColumns& table_;
};

}  // namespace diabolo
