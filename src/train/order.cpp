#include "train/order.h"

#include <numeric>
#include <utility>

#include "base/error.h"
#include "kernels/common/philox.h"

namespace diabolo {

std::vector<uint32_t> epoch_order(uint64_t seed, uint32_t epoch, uint64_t rows) {
  DIABOLO_CHECK(rows <= 0xffffffffull, rows);
  std::vector<uint32_t> order(rows);
  std::iota(order.begin(), order.end(), 0u);
  const kernels::RandomKey key{seed, kernels::RandomPurpose::kShuffle, epoch};
  for (uint64_t i = rows; i-- > 1;) {
    const kernels::Philox4 draw = kernels::draw_quad(key, 0, static_cast<uint32_t>(i));
    const uint64_t bits = (uint64_t{draw.lane[0]} << 32) | draw.lane[1];
    std::swap(order[i], order[bits % (i + 1)]);  // uniform up to a bias of (i + 1) / 2^64
  }
  return order;
}

}  // namespace diabolo
