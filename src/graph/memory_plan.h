// Where the temporaries of a plan lie: a pure function from lifetimes to offsets.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace diabolo {

// Bytes that must exist from step `first` to step `last`, both included.
struct Lifetime {
  uint64_t bytes = 0;
  int first = 0;
  int last = 0;
};

struct MemoryPlan {
  std::vector<uint64_t> offsets;  // one per lifetime, multiples of the alignment
  uint64_t peak_bytes = 0;        // what to allocate
};

// No two lifetimes that share a step share a byte. Greedy by size (Pisarchyk and Lee 2020): the
// largest first, each into the tightest gap among those it overlaps in time. Throws
// Error{kResource} if the sum does not fit 63 bits.
MemoryPlan plan_memory(std::span<const Lifetime> lifetimes, uint64_t alignment = 256);

}  // namespace diabolo
