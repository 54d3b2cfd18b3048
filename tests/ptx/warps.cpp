// What lanes of a warp tell each other: shuffles, votes, barriers of a warp.
#include "lanes.h"
#include "opcodes.h"

namespace ptx {

namespace {

enum class Shuffle { kUp, kDown, kBfly, kIdx };

// The lane to read and whether it lies in the segment, as the ISA's pseudo-code of shfl.sync has
// it.
template <Shuffle kMode>
u32 source_of(u32 lane, u32 b, u32 c, bool& is_inside) {
  const u32 by = b & 0x1F, clamp = c & 0x1F, segment = c >> 8 & 0x1F;
  const u32 most = (lane & segment) | (clamp & ~segment);
  const u32 least = lane & segment;
  const auto here = static_cast<i32>(lane), last = static_cast<i32>(most);
  i32 from = here;
  switch (kMode) {
    case Shuffle::kUp:
      from = here - static_cast<i32>(by);
      is_inside = from >= last;
      break;
    case Shuffle::kDown:
      from = here + static_cast<i32>(by);
      is_inside = from <= last;
      break;
    case Shuffle::kBfly:
      from = here ^ static_cast<i32>(by);
      is_inside = from <= last;
      break;
    case Shuffle::kIdx:
      from = static_cast<i32>(least | (by & ~segment));
      is_inside = from <= last;
      break;
  }
  return is_inside ? static_cast<u32>(from) & 31 : lane;
}

template <Shuffle kMode>
void shuffle(Warp& warp, const Op& op, u32 exec) {
  const size_t first = op.destinations;
  const u32 *a = warp.row32(op.row[first]), *b = warp.row32(op.row[first + 1]);
  const u32 *c = warp.row32(op.row[first + 2]), *mask = warp.row32(op.row[first + 3]);
  u32 out[32] = {}, inside = 0;
  for_lanes(exec, [&](int lane) {
    bool is_inside = false;
    const u32 from = source_of<kMode>(static_cast<u32>(lane), b[lane], c[lane], is_inside);
    if ((mask[lane] >> from & 1U) == 0)
      warp.fail(FaultKind::kWrongMask,
                "it reads lane " + std::to_string(from) + " outside the mask", lane);
    out[lane] = a[from];
    inside |= (is_inside ? 1U : 0U) << lane;
  });
  store(warp.row32(op.row[0]), out, exec);
  if (op.destinations == 2) {
    u32& predicate = *warp.row32(op.row[1]);
    predicate = (predicate & ~exec) | inside;
  }
}

// Of each lane that takes part: the lanes of its mask for which the predicate holds.
template <class F>
void vote(Warp& warp, const Op& op, u32 exec, F&& use) {
  const u32 value = warp.predicate(op, 1);
  const u32* mask = warp.row32(op.row[2]);
  for_lanes(exec, [&](int lane) { use(lane, value & mask[lane], mask[lane]); });
}
void ballot(Warp& warp, const Op& op, u32 exec) {
  vote(warp, op, exec, [&](int lane, u32 holds, u32) { warp.row32(op.row[0])[lane] = holds; });
}
template <bool kAll>
void vote_predicate(Warp& warp, const Op& op, u32 exec) {
  u32 out = 0;
  vote(warp, op, exec, [&](int lane, u32 holds, u32 mask) {
    out |= (kAll ? holds == mask : holds != 0) ? 1U << lane : 0U;
  });
  u32& predicate = *warp.row32(op.row[0]);
  predicate = (predicate & ~exec) | out;
}

void active_mask(Warp& warp, const Op& op, u32 exec) {
  for_lanes(exec, [&](int lane) { warp.row32(op.row[0])[lane] = exec; });
}

// Orders the accesses of the lanes that take part: those of one mask with each other.
void order_warp(Warp& warp, const Op& op, u32 exec) {
  const u32* masks = warp.row32(op.row[0]);
  for (u32 left = exec; left != 0;) {
    const u32 mask = masks[std::countr_zero(left)];
    warp.block().shared.order_lanes(warp.number(), mask);
    left &= ~mask;
  }
}

}  // namespace

void add_warp_opcodes(Opcodes& opcodes) {
  constexpr auto kMasked = Flow::kMaskedWarp;
  constexpr auto kShuffle = "rp:rrrr r:rrrr";
  opcodes.add("shfl.sync.up.b32", kShuffle, shuffle<Shuffle::kUp>, kMasked);
  opcodes.add("shfl.sync.down.b32", kShuffle, shuffle<Shuffle::kDown>, kMasked);
  opcodes.add("shfl.sync.bfly.b32", kShuffle, shuffle<Shuffle::kBfly>, kMasked);
  opcodes.add("shfl.sync.idx.b32", kShuffle, shuffle<Shuffle::kIdx>, kMasked);
  opcodes.add("vote.sync.ballot.b32", "r:pr", ballot, kMasked);
  opcodes.add("vote.sync.any.pred", "p:pr", vote_predicate<false>, kMasked);
  opcodes.add("vote.sync.all.pred", "p:pr", vote_predicate<true>, kMasked);
  opcodes.add("activemask.b32", "r:", active_mask);
  opcodes.add("bar.warp.sync", ":r", order_warp, kMasked);
}

}  // namespace ptx
