// The pass over the training rows that fit_scaling makes, and its part for wide types.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "base/error.h"
#include "data/block_reader.h"
#include "data/transform.h"

namespace diabolo {

// Throws Error{kData} for a stream, which a pass would use up.
void require_passes(const Dataset& data);

// Throws Error{kData} where nothing was counted in any column.
void require_values(const Dataset& data, std::span<const double> counts);

// Calls use(place, index, raw) for each row that left_out, where given, does not name:
// place.first_row + index is its number, raw its bytes.
template <class Use>
void for_each_raw_row(const Dataset& data, const std::vector<bool>* left_out, const Use& use) {
  constexpr uint64_t kPassBytes = 4 << 20;
  require_passes(data);
  const uint64_t row_bytes = data.x().row.bytes();
  const uint64_t step = std::max<uint64_t>(1, kPassBytes / row_bytes);
  BlockReader reader(data, step);
  RowBlock block;
  while (reader.next(block)) {
    const BlockPlace place = BlockPlace::of(data, block.first);
    for (uint64_t i = 0; i < block.rows; ++i)
      if (!left_out || !(*left_out)[block.first + i])
        use(place, i, block.x().subspan(i * row_bytes, row_bytes));
  }
}

// 1 / spread; 1 where the feature does not vary, and where no T is that: what lies so near together
// is not told apart, and what lies so far apart is refused when it is scaled.
template <class T>
T inverse(double spread) {
  const auto scale = static_cast<T>(1.0 / spread);
  return spread > 0.0 && std::isfinite(scale) && scale > T{} ? scale : T{1};
}

// Fills scaling, which has its kind and the neutral values, from rows of a wide type.
void fit_wide(const Dataset& data, BadValue policy, const std::vector<bool>* left_out,
              Scaling& scaling);

}  // namespace diabolo
