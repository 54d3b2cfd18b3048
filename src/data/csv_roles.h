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

// name: of the file. What options.columns asks for, then what is usual. Throws Error{kUsage} where
// the table lacks what is asked for, or one column is asked to be two things.
void give_roles(const std::string& name, const TableOptions& options, CsvColumns& table);

// What options.usual names, of kinds that nobody asked for and to columns that are free; what is
// not there is passed over.
void give_usual_roles(const std::string& name, const TableOptions& options, CsvColumns& table);

}  // namespace diabolo
