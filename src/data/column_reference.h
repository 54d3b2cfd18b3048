// How a column of a table is told in options, configurations and models: by its name in the header,
// by its number from 0, or by a text that may be either.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace diabolo {

struct ColumnReference {
  enum class By { kEither, kName, kNumber };
  By by = By::kEither;
  std::string name;              // but for kNumber
  std::optional<size_t> number;  // of kNumber, and of kEither where the text is one

  bool may_be_name() const { return by != By::kNumber; }
  std::string text() const;  // for messages: 'NAME', or number N
};

// "name:TEXT" and "number:N" are what they say, any other text is either. Throws Error{kUsage} for
// a number that is none.
ColumnReference column_reference(const std::string& text);

// What column_reference takes for this name wherever it is read, and for this number.
std::string name_reference(const std::string& name);
std::string number_reference(size_t number);

// The entries of ColumnNames::drop, without the spaces around them.
std::vector<std::string> drop_entries(const std::string& drop);
// Whether such an entry may have this text.
bool is_drop_entry(const std::string& text);

// Columns that were remembered by earlier builds, which did not say whether digits are a name or a
// number: they are names where the table had some.
ColumnNames settled(const ColumnNames& names, bool had_names);

}  // namespace diabolo
