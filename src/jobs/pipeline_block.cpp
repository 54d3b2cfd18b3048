#include "jobs/pipeline_block.h"

#include <algorithm>

namespace diabolo {

namespace {

// Moves the rows that are kept, `width` numbers each, to the front.
template <class Number>
void keep_rows(std::vector<Number>& values, const Block& block, uint64_t width) {
  for (uint64_t i = 0; i < block.numbers.size(); ++i) {
    if (block.numbers[i] == block.first + i) continue;
    const auto from =
        values.begin() + static_cast<ptrdiff_t>((block.numbers[i] - block.first) * width);
    std::copy_n(from, width, values.begin() + static_cast<ptrdiff_t>(i * width));
  }
  values.resize(block.numbers.size() * width);
}

}  // namespace

void Block::drop_rows(uint64_t width, uint64_t worst) {
  numbers.clear();
  for (uint64_t i = 0; i < states.size(); ++i)
    if (states[i] == RowState::kGood) numbers.push_back(first + i);
  if (numbers.size() == rows) return;
  keep_rows(values, *this, width);
  keep_rows(index, *this, worst);
  keep_rows(error, *this, worst);
  rows = numbers.size();
}

}  // namespace diabolo
