#include "opcodes.h"

namespace ptx {

namespace {

void nothing(Warp&, const Op&, uint32_t) {}

// What the warp itself does; see warp.cpp.
void add_flow_opcodes(Opcodes& opcodes) {
  opcodes.add("bra", ":n", nothing, Flow::kBranch);
  opcodes.add("bra.uni", ":n", nothing, Flow::kBranch);
  opcodes.add("ret", ":", nothing, Flow::kExit);
  opcodes.add("exit", ":", nothing, Flow::kExit);
  opcodes.add("bar.sync", ":i", nothing, Flow::kBlockBarrier);
  opcodes.add("barrier.sync", ":i", nothing, Flow::kBlockBarrier);
}

}  // namespace

const Opcodes& Opcodes::all() {
  static const Opcodes opcodes = [] {
    Opcodes made;
    add_flow_opcodes(made);
    add_integer_opcodes(made);
    add_bit_opcodes(made);
    add_real_opcodes(made);
    add_directed_opcodes(made);
    add_convert_opcodes(made);
    add_select_opcodes(made);
    add_memory_opcodes(made);
    add_atomic_opcodes(made);
    add_async_opcodes(made);
    add_warp_opcodes(made);
    add_matrix_opcodes(made);
    return made;
  }();
  return opcodes;
}

}  // namespace ptx
