// cp.async and its groups (PTX ISA, "Data Movement and Conversion Instructions: Asynchronous
// copy").
#include "access.h"
#include "opcodes.h"

namespace ptx {

namespace {

// [shared], [global], bytes[, bytes to read]: the rest becomes zero.
template <bool kPastFirstCache>
void copy_async(Warp& warp, const Op& op, u32 exec) {
  const u32 bytes = op.immediate;
  const bool is_size = bytes == 16 || (!kPastFirstCache && (bytes == 4 || bytes == 8));
  if (!is_size) warp.fail(FaultKind::kUnknown, "a copy of " + std::to_string(bytes) + " bytes");
  const u32* valid = op.operands > 3 ? warp.row32(op.row[3]) : nullptr;
  for_lanes(exec, [&](int lane) {
    const u64 from = warp.address(op, 1, 1, lane);
    const u32 count = valid != nullptr ? valid[lane] : bytes;
    if (count > bytes) warp.fail(FaultKind::kBounds, "a copy reads more than it writes", lane);
    if (from % bytes != 0) warp.fail(FaultKind::kMisaligned, "the source of a copy", lane);
    unsigned char data[16] = {};
    if (count > 0) {
      if (!warp.block().global.holds(from, count))
        warp.fail(FaultKind::kBounds, "the source of a copy lies in no allocation", lane);
      std::memcpy(data, reinterpret_cast<const void*>(from), count);
    }
    const u64 to = warp.address(op, 0, 0, lane);
    check(warp, warp.block().shared.copy_async(warp.thread(lane), to, data, bytes), lane);
  });
}

void commit(Warp& warp, const Op&, u32 exec) {
  for_lanes(exec, [&](int lane) { warp.block().shared.commit(warp.thread(lane)); });
}

void wait_group(Warp& warp, const Op& op, u32 exec) {
  for_lanes(exec, [&](int lane) { warp.block().shared.wait(warp.thread(lane), op.immediate); });
}

// As a commit and a wait for all groups.
void wait_all(Warp& warp, const Op& op, u32 exec) {
  commit(warp, op, exec);
  for_lanes(exec, [&](int lane) { warp.block().shared.wait(warp.thread(lane), 0); });
}

}  // namespace

void add_async_opcodes(Opcodes& opcodes) {
  for (const char* prefetch : {"", ".L2::64B", ".L2::128B", ".L2::256B"}) {
    opcodes.add(std::string("cp.async.ca.shared.global") + prefetch, ":mmi :mmir",
                copy_async<false>);
    opcodes.add(std::string("cp.async.cg.shared.global") + prefetch, ":mmi :mmir",
                copy_async<true>);
  }
  opcodes.add("cp.async.commit_group", ":", commit);
  opcodes.add("cp.async.wait_group", ":i", wait_group);
  opcodes.add("cp.async.wait_all", ":", wait_all);
}

}  // namespace ptx
