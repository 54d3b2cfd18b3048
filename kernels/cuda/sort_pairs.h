// A stable sort of pairs by their keys, on the device: CUB's radix sort.
#pragma once

#include <cstdint>

namespace diabolo::kernels::cuda {

struct Pairs {
  uint32_t* keys;
  uint32_t* values;
};

// Two places for n pairs each, and scratch for the sort itself.
struct SortPairs {
  int64_t n = 0;  // below 2^32
  int bits = 32;  // keys have no others, from the lowest
  Pairs from, other;
  void* scratch = nullptr;  // sort_scratch_bytes(n)
};

// Enqueues the sort of the pairs in `from`; returns where they will lie sorted, in `from` or in
// `other`, whose contents are lost otherwise.
Pairs sort_pairs(const SortPairs& sort, void* stream);

// More than any architecture wants; sort_pairs throws LaunchError where one does want more.
uint64_t sort_scratch_bytes(int64_t n);

}  // namespace diabolo::kernels::cuda
