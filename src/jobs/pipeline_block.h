// Rows on their way through a run from file to file: from the reader over the model to the writer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "data/block_reader.h"
#include "infer/row_watch.h"
#include "jobs/row_output.h"

namespace diabolo {

// Memory is kept for the next round.
struct Block {
  uint64_t first = 0, rows_read = 0;  // of the input: where it begins and, as a count, ends
  uint64_t rows = 0;                  // kept
  RowBlock input;                     // empty where the model's threads read for themselves
  std::vector<std::string> ids;       // of the rows, where they have some and the output takes them
  std::vector<std::vector<std::byte>> columns;  // results
  std::vector<RowState> states;                 // where rows may be left out
  std::vector<uint64_t> numbers;                // then: of the rows kept, in the input
  std::vector<uint64_t> given;  // numbers that the rows bring, where the output takes them

  ResultRows results() const { return {rows, columns, given.empty() ? numbers : given, ids}; }
  // Rows that were left out go.
  void drop_rows();
};

}  // namespace diabolo
