// The order in which an epoch visits its rows: a permutation that depends on (seed, epoch, n)
// alone.
//
// Fisher and Yates from the end: i = n - 1 … 1 swaps places i and t(i) <= i. It looks sequential
// and is not. Place p, just before i swaps (p <= i), holds what the last swap that reached it put
// there: that of the smallest i' > i with t(i') = p, which brought what place i' held before i'
// swapped; or p itself where there is none. With
//   next(i)  = the smallest i' > i with t(i') = t(i)
//   first(p) = the smallest i' > p with t(i') = p
//   held(p)  = held(first(p)), or p where there is none
// order[i] = held(next(i)), or t(i) where there is none. A stable sort of the i by t(i) puts
// next(i) beside i, and first(p) where the t that are p begin. first(p) > p, so that chains end:
// the mean one has one link, the longest of n some e ln n.
#pragma once

#include <cstdint>
#include <utility>

#include "kernels/common/kernel.h"
#include "kernels/common/step_state.h"

namespace diabolo::kernels {

// order [n]; the state's seed and, as its step, the epoch. n below 2^32.
struct Shuffle {
  int64_t n = 0;
  const StepState* state = nullptr;
  uint32_t* order = nullptr;
};

// t(i): 64-bit draws of Philox (purpose kShuffle, step = epoch); uniform up to a bias of
// (i + 1) / 2^64.
DIABOLO_HD inline uint32_t swapped_with(const StepState& state, uint32_t i) {
  const RandomKey key{state.seed, RandomPurpose::kShuffle, static_cast<uint32_t>(state.step)};
  const Philox4 draw = draw_quad(key, 0, i);
  const uint64_t bits = (uint64_t{draw.lane[0]} << 32) | draw.lane[1];
  return static_cast<uint32_t>(bits % (uint64_t{i} + 1));
}

inline void shuffle_reference(const Shuffle& p) {
  for (int64_t i = 0; i < p.n; ++i) p.order[i] = static_cast<uint32_t>(i);
  for (int64_t i = p.n; i-- > 1;)
    std::swap(p.order[i], p.order[swapped_with(*p.state, static_cast<uint32_t>(i))]);
}

DIABOLO_KERNEL(Shuffle)

namespace cuda {
const char* refusal(const Shuffle& call, const Device& device);
uint64_t scratch_bytes(const Shuffle& call, const Device& device);
}  // namespace cuda

}  // namespace diabolo::kernels
