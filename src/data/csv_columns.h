// What the columns of a CSV table are: found from its first rows, or told.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/csv_text.h"
#include "data/dataset.h"

namespace diabolo {

struct CsvColumns {
  struct Column {
    std::string name;                // of the header, or its number
    bool is_named = false;           // by the header
    bool is_kept = true;             // else its cells are passed over
    FieldRole role = FieldRole::kX;  // kX, kLabel, kId or kRow

    // Whether it is a feature, as it is where nobody says otherwise.
    bool is_free() const { return is_kept && role == FieldRole::kX; }
  };
  std::vector<Column> columns;
  bool has_header = false;
  char separator = ',';
  DType x_dtype = DType::kF64;
  DType label_dtype = DType::kI64;  // kF64 where one of the first labels is no integer
  CsvPlace first_row;               // behind the header
  std::vector<Field> fields;        // x, then label, id and row where there are any
  std::string as_usual;             // what was taken from OpenOptions::usual, in words

  // What the first line is, "names;" or "data;", and a letter a column, of its role or - where it
  // is left out.
  std::string layout() const;
  // Of the columns that are x; none where they have no names.
  std::vector<std::string> feature_names() const;
  // Of a feature: its column.
  size_t column_of(uint64_t feature) const;
  // "column 'NAME'"
  std::string text(size_t column) const { return "column " + shown(columns[column].name); }
  void note_usual(const std::string& what) { as_usual += (as_usual.empty() ? "" : ", ") + what; }
};

// Reads the first records, which must be kept. Throws Error{kData} for text that is no table,
// Error{kUsage} for columns that it lacks and for types and shapes that do not fit.
CsvColumns find_csv_columns(const std::string& name, CsvRecords& records,
                            const OpenOptions& options);

}  // namespace diabolo
