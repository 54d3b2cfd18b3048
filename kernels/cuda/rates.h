// What a multiprocessor of an H100 does in a cycle: the figures by which tiles, parts and chains
// are chosen. Arithmetic, not measured.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/cuda.h"

namespace diabolo::kernels::cuda {

// Multiply-adds: mma.sync at 63 % of the peak rate, and fused multiply-adds.
inline constexpr double kBf16Rate = 1290, kFfmaRate = 128;
// Bytes: shared memory; the second-level cache for one multiprocessor, and for all; memory for all.
inline constexpr double kSharedRate = 128, kCacheRate = 64, kAllCacheRate = 3200;
inline constexpr double kMemoryRate = 1709;
// Of an element of a finished tile: four accesses of 4 bytes of shared memory, and its stores.
inline constexpr double kElementCycles = 0.2;
// A launch more: the gap to the one before, and what a kernel takes that does nothing. 2.1 us.
inline constexpr double kLaunchCycles = 3700;
// The way of first copies; with the barriers of the slabs, all that a tile takes beside its sum and
// its elements.
inline constexpr double kCopyCycles = 700, kTileCycles = 1500;

// What one row of k of a block's tile takes.
struct RowCosts {
  double shared_bytes;  // staged, and read as fragments
  double cache_bytes;
  double computed;  // cycles of multiply-adds
  double wait;      // cycles of the way from memory, with all stages in flight
};

// Cycles for such a row of each of `resident` blocks that share a multiprocessor, with `busy`
// multiprocessors at work: they share what it does in a cycle, and wait side by side.
inline double row_cycles(const RowCosts& row, double resident, double busy) {
  const double cache_rate = std::min(kCacheRate, kAllCacheRate / busy);
  return std::max({resident * row.shared_bytes / kSharedRate,
                   resident * row.cache_bytes / cache_rate, resident * row.computed, row.wait});
}

// Of blocks of so many bytes of shared memory: one can have all of a multiprocessor but for 1 KiB,
// which each takes beside its own.
inline int64_t resident_blocks(int64_t by_registers, int64_t bytes, const Device& device) {
  constexpr int64_t kBeside = 1024;
  const int64_t by_memory = (device.shared_bytes_per_block + kBeside) / (bytes + kBeside);
  return std::clamp(by_memory, int64_t{1}, by_registers);
}

// Cycles of so many blocks on one multiprocessor, `resident` at a time; of_wave: of that many, or
// of fewer.
template <class OfWave>
double waves_cycles(int64_t blocks, int64_t resident, OfWave&& of_wave) {
  const int64_t rest = blocks % resident;
  return static_cast<double>(blocks / resident) * of_wave(static_cast<double>(resident)) +
         (rest > 0 ? of_wave(static_cast<double>(rest)) : 0);
}

}  // namespace diabolo::kernels::cuda
