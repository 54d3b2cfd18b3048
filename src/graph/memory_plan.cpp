#include "graph/memory_plan.h"

#include <algorithm>
#include <numeric>

#include "base/checked.h"
#include "base/error.h"

namespace diabolo {
namespace {

bool overlap(const Lifetime& a, const Lifetime& b) {
  return a.first <= b.last && b.first <= a.last;
}

// Rounded up to the alignment; what all lifetimes together take must fit 63 bits.
std::vector<uint64_t> padded_sizes(std::span<const Lifetime> lifetimes, uint64_t alignment) {
  std::vector<uint64_t> sizes;
  uint64_t total = 0;
  for (const Lifetime& lifetime : lifetimes) {
    const auto padded = checked_align_up(lifetime.bytes, alignment);
    const auto sum = padded ? checked_add(total, *padded) : std::nullopt;
    if (!sum || *sum > (uint64_t{1} << 62))
      throw Error(ErrorCode::kResource, "the plan's temporaries do not fit any memory");
    total = *sum;
    sizes.push_back(*padded);
  }
  return sizes;
}

}  // namespace

MemoryPlan plan_memory(std::span<const Lifetime> lifetimes, uint64_t alignment) {
  const std::vector<uint64_t> sizes = padded_sizes(lifetimes, alignment);
  std::vector<size_t> by_size(lifetimes.size());
  std::iota(by_size.begin(), by_size.end(), size_t{0});
  std::ranges::stable_sort(by_size, [&](size_t a, size_t b) { return sizes[a] > sizes[b]; });

  MemoryPlan plan;
  plan.offsets.assign(lifetimes.size(), 0);
  std::vector<size_t> placed;  // by offset
  for (const size_t item : by_size) {
    uint64_t best = ~uint64_t{0};
    uint64_t best_gap = ~uint64_t{0};
    uint64_t end = 0;  // of what lies below and overlaps in time
    for (const size_t other : placed) {
      if (!overlap(lifetimes[item], lifetimes[other])) continue;
      const uint64_t begin = plan.offsets[other];
      if (begin > end && begin - end >= sizes[item] && begin - end < best_gap) {
        best = end;
        best_gap = begin - end;
      }
      end = std::max(end, begin + sizes[other]);
    }
    plan.offsets[item] = best_gap == ~uint64_t{0} ? end : best;
    plan.peak_bytes = std::max(plan.peak_bytes, plan.offsets[item] + sizes[item]);
    const auto place = std::ranges::upper_bound(placed, plan.offsets[item], {},
                                                [&](size_t other) { return plan.offsets[other]; });
    placed.insert(place, item);
  }
  return plan;
}

}  // namespace diabolo
