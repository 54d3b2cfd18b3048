// What the shuffle of an epoch's rows refuses and takes.
#include "kernels/cuda/sort_pairs.h"
#include "kernels/shuffle.h"

namespace diabolo::kernels::cuda {

const char* refusal(const Shuffle& p, const Device& device) {
  if (p.n > 0xFFFFFFFF) return "more than 2^32 - 1 rows";
  return refuse_count(p.n, device);
}

// Four arrays of pairs that are sorted, the first links, and what the sort wants.
uint64_t scratch_bytes(const Shuffle& p, const Device&) {
  return 5 * aligned_bytes(4 * static_cast<uint64_t>(p.n)) + sort_scratch_bytes(p.n);
}

// CUB's one-sweep sort: 256 counters of 4 bytes a tile of at least 1024 pairs, for up to 2^28 pairs
// (more go through the same room); histograms of at most 17 portions in four passes.
uint64_t sort_scratch_bytes(int64_t n) {
  constexpr uint64_t kMostTiled = uint64_t{1} << 28;
  const auto pairs = static_cast<uint64_t>(n);
  return aligned_bytes(pairs < kMostTiled ? pairs : kMostTiled) + (uint64_t{128} << 10);
}

}  // namespace diabolo::kernels::cuda
