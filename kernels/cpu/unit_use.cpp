// Which units of sparse codes are used: blocks of columns over all rows, then the sums in order.
#include "kernels/unit_use.h"

#include <algorithm>

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/define.h"
#include "kernels/cpu/passes.h"

namespace diabolo::kernels::cpu {
namespace {

// What a block of columns comes to.
struct Counts {
  int64_t used = 0, dead = 0;
};

template <class T>
Counts count_block(const UnitUse<T>& p, int64_t first, int64_t n) {
  int32_t used[kBlock] = {};
  for (int64_t b = 0; b < p.B; ++b) {
    const T* code = p.code + b * p.D + first;
    for (int64_t k = 0; k < n; ++k) used[k] += is_used(widen(code[k])) ? 1 : 0;
  }
  Counts counts;
  for (int64_t k = 0; k < n; ++k) {
    const float next = used[k] > 0 ? 0.0f : next_idle(p.idle[first + k], p.B);
    p.next[first + k] = next;
    counts.used += used[k];
    counts.dead += next >= p.limit ? 1 : 0;
  }
  return counts;
}

template <class T>
uint64_t scratch_of(const UnitUse<T>& p) {
  return static_cast<uint64_t>(chunk_count(p.D, kBlock)) * sizeof(Counts);
}

template <class T>
Launch make(const UnitUse<T>& p, const CpuFeatures& cpu, void* scratch) {
  return [p, team = Team(cpu, p.B * p.D, pass_cost::kCopy),
          blocks = static_cast<Counts*>(scratch)](void*) {
    const int64_t count = chunk_count(p.D, kBlock);
    parallel_for(team.threads, count, [&](int64_t block) {
      const int64_t first = block * kBlock;
      on_isa(team.isa,
             [&] { blocks[block] = count_block(p, first, std::min(kBlock, p.D - first)); });
    });
    Counts all;
    for (int64_t block = 0; block < count; ++block) {
      all.used += blocks[block].used;
      all.dead += blocks[block].dead;
    }
    *p.active = static_cast<float>(all.used) * (1.0f / static_cast<float>(p.B));
    *p.dead = static_cast<float>(all.dead) * (1.0f / static_cast<float>(p.D));
  };
}

}  // namespace

DIABOLO_CPU_DEFINE(UnitUse<float>)
DIABOLO_CPU_DEFINE(UnitUse<Bf16>)

}  // namespace diabolo::kernels::cpu
