// Which columns of a CSV table are what: by name, or by number from 0.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/csv_columns.h"

namespace diabolo {

// The columns that one side names, with what they are for; no role: left out.
struct Wanted {
  std::string column;
  std::optional<FieldRole> role;
};

// In an order that means nothing.
std::vector<Wanted> wanted_columns(const ColumnNames& names);

// Columns of these names; one without has its number for it.
std::vector<CsvColumns::Column> columns_called(const std::vector<std::string>& names);

// name: of the file. What the options ask for, then what is usual. Throws Error{kUsage} where the
// table lacks what is asked for, where one column is asked to be two things, and where a usual
// number may be another column than it was.
void give_roles(const std::string& name, const OpenOptions& options, CsvColumns& table);

// To columns that are free; what is not there is passed over.
void give_free_roles(const std::string& name, const ColumnNames& names, CsvColumns& table);

// Whether a table is as wide as the one that the usual columns are of, so that numbers are the same
// columns.
bool has_usual_width(const UsualReading& usual, size_t columns);

// Whether all names of features stand in a line.
bool has_usual_features(const UsualReading& usual, const std::vector<std::string>& cells);

// Those that are no features: by name where the header has it once, else by number.
ColumnNames other_columns(const CsvColumns& table);

}  // namespace diabolo
