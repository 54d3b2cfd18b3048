#include "jobs/pipeline_block.h"

#include <algorithm>
#include <utility>

namespace diabolo {

namespace {

// Moves the rows that are kept to the front.
void keep_rows(std::vector<std::byte>& values, const Block& block) {
  const uint64_t width = values.size() / block.rows;
  for (uint64_t i = 0; i < block.numbers.size(); ++i) {
    if (block.numbers[i] == block.first + i) continue;
    const auto from =
        values.begin() + static_cast<ptrdiff_t>((block.numbers[i] - block.first) * width);
    std::copy_n(from, width, values.begin() + static_cast<ptrdiff_t>(i * width));
  }
  values.resize(block.numbers.size() * width);
}

}  // namespace

void Block::drop_rows() {
  numbers.clear();
  for (uint64_t i = 0; i < states.size(); ++i)
    if (states[i] == RowState::kGood) numbers.push_back(first + i);
  if (numbers.size() == rows) return;
  for (std::vector<std::byte>& column : columns) keep_rows(column, *this);
  for (uint64_t i = 0; i < numbers.size() && !ids.empty(); ++i)
    if (numbers[i] != first + i) ids[i] = std::move(ids[numbers[i] - first]);
  for (uint64_t i = 0; i < numbers.size() && !given.empty(); ++i)
    given[i] = given[numbers[i] - first];
  if (!given.empty()) given.resize(numbers.size());
  rows = numbers.size();
}

}  // namespace diabolo
