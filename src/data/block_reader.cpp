#include "data/block_reader.h"

#include <algorithm>

#include "base/error.h"

namespace diabolo {

BlockReader::BlockReader(const Dataset& data, uint64_t block_rows,
                         const std::vector<FieldRole>& roles, uint64_t first_row)
    : data_(data), block_rows_(block_rows), next_row_(first_row) {
  DIABOLO_CHECK(block_rows > 0, data.name());
  for (size_t i = 0; i < data.fields().size(); ++i)
    if (std::ranges::find(roles, data.fields()[i].role) != roles.end()) fields_.push_back(i);
}

bool BlockReader::next(RowBlock& block) {
  if (failure_) throw Error(*failure_);
  const uint64_t left = data_.rows() ? *data_.rows() - next_row_ : block_rows_;
  const uint64_t wanted = is_over_ ? 0 : std::min(block_rows_, left);
  block.columns.resize(data_.fields().size());
  block.first = next_row_;
  block.rows = wanted == 0 ? 0 : read(block, wanted);
  next_row_ += block.rows;
  is_over_ = block.rows < block_rows_ && !failure_;
  return block.rows > 0;
}

// Of rows that cannot all be had, those before the one that the failure names are there.
uint64_t BlockReader::read_before_failure(uint64_t wanted, std::span<const FieldRows> places) {
  try {
    return data_.read(next_row_, wanted, places);
  } catch (const Error& error) {
    const auto at = error.position();
    if (!at || at->row <= next_row_ || at->row >= next_row_ + wanted) throw;
    failure_.emplace(error);
    return at->row - next_row_;
  }
}

// A stream may give fewer rows than are wanted.
uint64_t BlockReader::read(RowBlock& block, uint64_t wanted) {
  if (fields_.empty()) return wanted;
  std::vector<FieldRows> places;
  const auto resize = [&](uint64_t rows) {
    places.clear();
    for (const size_t field : fields_) {
      const Field& of = data_.fields()[field];
      RowBlock::Column& column = block.columns[field];
      of.is_text ? column.texts.resize(rows) : column.bytes.resize(rows * of.row.bytes());
      places.push_back({field, column.bytes, column.texts});
    }
  };
  resize(wanted);
  const uint64_t rows = read_before_failure(wanted, places);
  if (rows < wanted) resize(rows);
  return rows;
}

}  // namespace diabolo
