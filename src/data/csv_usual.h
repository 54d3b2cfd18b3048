// Columns of a CSV table that are what they were in another: that of the training, or of results.
#pragma once

#include <string>
#include <vector>

#include "data/csv_columns.h"

namespace diabolo {

// Whether a table is as wide as the one that the usual columns are of, so that numbers are the same
// columns.
bool has_usual_width(const UsualReading& usual, size_t columns);

// Whether all names of features stand in a line.
bool has_usual_features(const UsualReading& usual, const std::vector<std::string>& cells);

// After what is asked for; see give_roles.
void give_usual_roles(const std::string& name, const OpenOptions& options, CsvColumns& table);

}  // namespace diabolo
