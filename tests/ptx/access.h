// A thread's access to the space that an address names, with all checks.
#pragma once

#include "lanes.h"

namespace ptx {

enum class Space { kGeneric, kGlobal, kShared, kParameter };

inline void check_global(Warp& warp, u64 at, u64 bytes, int lane) {
  if (at % bytes != 0)
    warp.fail(FaultKind::kMisaligned,
              std::to_string(bytes) + " bytes at global address " + std::to_string(at), lane);
  if (!warp.block().global.holds(at, bytes))
    warp.fail(FaultKind::kBounds,
              std::to_string(bytes) + " bytes at global address " + std::to_string(at) +
                  ", which lie in no allocation",
              lane);
}

inline void check(Warp& warp, const std::optional<Complaint>& complaint, int lane) {
  if (complaint) warp.fail(complaint->kind, complaint->what, lane);
}

inline void load_parameter(Warp& warp, u64 at, void* to, u64 bytes, int lane) {
  const std::vector<unsigned char>& all = warp.block().parameters;
  const u64 offset = at - kParameterBegin;
  if (at < kParameterBegin || offset > all.size() || bytes > all.size() - offset)
    warp.fail(FaultKind::kBounds, "an address outside the parameters", lane);
  if (at % bytes != 0) warp.fail(FaultKind::kMisaligned, "an address of a parameter", lane);
  std::memcpy(to, &all[offset], bytes);
}

// What a generic address is of; `at` becomes an address of that space.
inline Space resolve(u64& at) {
  constexpr u64 kWindow = u64{1} << 32;
  if (at - kGenericShared < kWindow) {
    at -= kGenericShared;
    return Space::kShared;
  }
  if (at - kGenericParameter < kWindow) {
    at -= kGenericParameter;
    return Space::kParameter;
  }
  return Space::kGlobal;
}

template <Space kSpace>
void load_bytes(Warp& warp, u64 at, void* to, u64 bytes, int lane) {
  const Space space = kSpace == Space::kGeneric ? resolve(at) : kSpace;
  if (space == Space::kShared) {
    check(warp, warp.block().shared.read(warp.thread(lane), at, to, bytes), lane);
  } else if (space == Space::kParameter) {
    load_parameter(warp, at, to, bytes, lane);
  } else {
    check_global(warp, at, bytes, lane);
    std::memcpy(to, reinterpret_cast<const void*>(at), bytes);
  }
}

template <Space kSpace>
void store_bytes(Warp& warp, u64 at, const void* from, u64 bytes, int lane) {
  const Space space = kSpace == Space::kGeneric ? resolve(at) : kSpace;
  if (space == Space::kShared) {
    check(warp, warp.block().shared.write(warp.thread(lane), at, from, bytes), lane);
  } else if (space == Space::kParameter) {
    warp.fail(FaultKind::kBounds, "a store to a parameter", lane);
  } else {
    check_global(warp, at, bytes, lane);
    std::memcpy(reinterpret_cast<void*>(at), from, bytes);
  }
}

}  // namespace ptx
