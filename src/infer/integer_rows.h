// Rows of integers, such as codes of a codebook and labels. On their way in: a graph reads them by
// its own type and takes no others. On their way out: codes are held to what a code may be.
#pragma once

#include "base/dtype.h"
#include "infer/row_watch.h"

namespace diabolo {

// Numbers of any type that are whole, to integers of another.
struct IntegerRows {
  const char* what;     // "codes", for messages
  uint64_t width = 1;   // numbers of a row
  DType type;           // that they become
  uint64_t values = 0;  // each is from 0 to below this; 0: what the type holds
};

// `raw`: the rows from number `first` of the call on. A row with another number is a bad one that
// no policy mends: watch.fail.
void convert_integers(const IntegerRows& rows, DType dtype, std::span<const std::byte> raw,
                      uint64_t first, void* out, RowWatch& watch);

// Results: whole rows from number `first` of the call on, of rows.type; `raw` is changed where rows
// are left out, to the type's greatest number.
void check_integer_results(const IntegerRows& rows, std::span<std::byte> raw, uint64_t first,
                           RowWatch& watch);

}  // namespace diabolo
