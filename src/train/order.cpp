#include "train/order.h"

#include "base/error.h"
#include "kernels/shuffle.h"

namespace diabolo {

std::vector<uint32_t> epoch_order(uint64_t seed, uint32_t epoch, uint64_t rows) {
  DIABOLO_CHECK(rows <= 0xffffffffull, rows);
  std::vector<uint32_t> order(rows);
  kernels::StepState state{};
  state.seed = seed;
  state.step = epoch;
  kernels::shuffle_reference({static_cast<int64_t>(rows), &state, order.data()});
  return order;
}

}  // namespace diabolo
