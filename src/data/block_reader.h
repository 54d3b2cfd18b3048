// The rows of a table, block after block: what training, inference and evaluation read by.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/dataset.h"

namespace diabolo {

// Memory is kept for the next block.
struct RowBlock {
  // Of one field: numbers as Dataset::read gives them, or texts. Empty where it was not wanted.
  struct Column {
    std::vector<std::byte> bytes;
    std::vector<std::string> texts;
  };

  uint64_t first = 0;  // number of its first row in the source
  uint64_t rows = 0;
  std::vector<Column> columns;  // in the order of Dataset::fields()

  std::span<const std::byte> x() const { return columns.front().bytes; }
};

class BlockReader {
 public:
  // Blocks of block_rows rows, the last one of what is left, from row first_row on; of the fields
  // that have one of the roles; of none, rows are counted alone. The data set is borrowed.
  BlockReader(const Dataset& data, uint64_t block_rows,
              const std::vector<FieldRole>& roles = {FieldRole::kX}, uint64_t first_row = 0);

  // False, with a block without rows, where there are no more. Throws what Dataset::read throws;
  // where that names a row, first gives the rows before it, as a block that may be shorter.
  bool next(RowBlock& block);

 private:
  uint64_t read(RowBlock& block, uint64_t wanted);
  uint64_t read_before_failure(uint64_t wanted, std::span<const FieldRows> places);

  const Dataset& data_;
  uint64_t block_rows_;
  std::vector<size_t> fields_;
  uint64_t next_row_;
  bool is_over_ = false;
  std::optional<Error> failure_;  // of the row that is next
};

}  // namespace diabolo
