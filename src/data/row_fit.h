// Which rows a model takes: the one rule for files and memory, for use and for validation.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "data/dataset.h"

namespace diabolo {

// Whether rows of these shapes are the same numbers in the same order: equal extents, axes of one
// element aside, or as many numbers where one of the two is flat (one axis). The types may differ.
bool rows_fit(const TensorDesc& expected, const TensorDesc& found);

// Rows that were found somewhere; count is nothing where a stream does not say it.
struct FoundRows {
  std::string name;  // of the file or argument
  TensorDesc row;
  std::optional<uint64_t> count = {};
};

// Throws Error{kData} unless rows_fit: "data.npy: expected rows u8[*,8,8], found u8[100,4,16]; …",
// with what to do. `what` follows what is expected: " (codes)".
void require_rows_fit(const TensorDesc& expected, const FoundRows& found,
                      const std::string& what = "");
void require_rows_fit(const TensorDesc& expected, const Dataset& found,
                      const std::string& what = "");

// "t.csv: first line: names; as in training: id column 'name'": what was found may be wrong.
void say_reading(const Dataset& found, const Log& log);
// "names" or "data" of a table of text, else nothing.
std::string first_line(const Dataset& found);

// The same of the names of their columns, where both sides have some: in another order, a model
// would take each number for another one, which is an Error{kData} wherever a name that is known
// stands in another place; other names are worth a warning.
void require_columns_fit(const std::vector<std::string>& expected, const Dataset& found,
                         const Log& log);

}  // namespace diabolo
