// The order in which an epoch visits its rows, on the host: the permutation of kernels/shuffle.h,
// which depends on (seed, epoch, rows) alone.
#pragma once

#include <cstdint>
#include <vector>

namespace diabolo {

// The epoch that no training has: its permutation splits off validation rows.
inline constexpr uint32_t kSplitEpoch = 0xffffffffu;

// rows below 2^32.
std::vector<uint32_t> epoch_order(uint64_t seed, uint32_t epoch, uint64_t rows);

}  // namespace diabolo
