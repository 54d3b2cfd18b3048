// Rows of integers on their way in, such as codes of a codebook and labels: a graph reads them by
// its own type and takes no others.
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

}  // namespace diabolo
