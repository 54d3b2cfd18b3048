// Whether the first line of a CSV table is the names of its columns.
#pragma once

#include <string>
#include <vector>

#include "data/dataset.h"

namespace diabolo {

// As the options say, else as is usual, else found: names stand over numbers, and no number is
// among them; of the columns that are features, as ids and what is left out may be text in every
// row. first, second: cells of the lines; the second is empty where there is none. Throws
// Error{kUsage} where nobody can tell.
bool is_csv_header(const std::string& name, const std::vector<std::string>& first,
                   const std::vector<std::string>& second, const OpenOptions& options);

}  // namespace diabolo
