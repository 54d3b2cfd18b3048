// Which columns of a CSV table are what: by name, or by number from 0.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/column_reference.h"
#include "data/csv_columns.h"

namespace diabolo {

// The columns that one side names, with what they are for; no role: left out.
struct Wanted {
  ColumnReference column;
  std::optional<FieldRole> role;
};

// In an order that means nothing.
std::vector<Wanted> wanted_columns(const ColumnNames& names);

// Columns of these names; one without has its number for it.
std::vector<CsvColumns::Column> columns_called(const std::vector<std::string>& names);

// How a role is asked for and told; nullopt: left out.
struct RoleWords {
  const char *option, *what;
};
RoleWords words(std::optional<FieldRole> role);

// nullopt: left out.
void give(CsvColumns::Column& column, std::optional<FieldRole> role);

// The column of a name where there is a header, else of a number; nothing where there is none.
// Throws Error{kUsage} where several have the name.
std::optional<size_t> find_column(const std::string& name, const CsvColumns& table,
                                  const ColumnReference& wanted);

// name: of the file. What the options ask for, then what is usual. Throws Error{kUsage} where the
// table lacks what is asked for, where one column is asked to be two things, and where a usual
// number may be another column than it was; Error{kData} where it is known why there are not as
// many features as usual.
void give_roles(const std::string& name, const OpenOptions& options, CsvColumns& table);

// To columns that are free; what is not there is passed over.
void give_free_roles(const std::string& name, const ColumnNames& names, CsvColumns& table);

// Those that are no features: by name where the header has it once, else by number.
ColumnNames other_columns(const CsvColumns& table);

}  // namespace diabolo
