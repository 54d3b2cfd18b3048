// Rows of text in columns that line up.
#pragma once

#include <string>
#include <vector>

namespace diabolo::cli {

// Each row ends with a newline; columns are two spaces apart.
std::string table_text(const std::vector<std::vector<std::string>>& rows);

// A number as people read it: up to 6 significant digits.
// "1 row", "2 rows".
std::string counted(uint64_t count, const std::string& noun);

std::string number_text(double value);
// "1.5 MiB"
std::string bytes_text(uint64_t bytes);

}  // namespace diabolo::cli
