// Rows of a table of text found by their number.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <vector>

#include "data/csv_text.h"

namespace diabolo {

// Where every so-many-th byte's next row begins. When there are `most`, every other one goes,
// and the rest lie twice as far apart, so that no file makes the list large.
class RowIndex {
 public:
  struct Entry {
    uint64_t row = 0;
    CsvPlace place;
  };

  explicit RowIndex(size_t most = size_t{1} << 20, uint64_t step = 16 << 10)
      : most_(most), step_(step) {}

  void add(uint64_t row, const CsvPlace& place) {
    if (!entries_.empty() && place.offset < entries_.back().place.offset + step_) return;
    if (entries_.size() == most_) thin();
    entries_.push_back({row, place});
  }
  // The last entry that is not behind the row; there is one for row 0.
  const Entry& before(uint64_t row) const {
    return *std::prev(std::ranges::upper_bound(entries_, row, {}, &Entry::row));
  }

  size_t size() const { return entries_.size(); }

 private:
  void thin() {
    for (size_t i = 0; i < most_ / 2; ++i) entries_[i] = entries_[2 * i];
    entries_.resize(most_ / 2);
    step_ *= 2;
  }

  std::vector<Entry> entries_;
  size_t most_;
  uint64_t step_;  // scanned on the way to a row, at most
};

}  // namespace diabolo
