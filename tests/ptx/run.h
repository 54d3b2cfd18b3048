// Runs a kernel of a PTX module on the CPU. Written from NVIDIA's PTX ISA alone.
#pragma once

#include <cstdint>
#include <vector>

#include "memory.h"
#include "program.h"

namespace ptx {

struct Dim {
  uint32_t x = 1, y = 1, z = 1;
  uint64_t count() const { return uint64_t{x} * y * z; }
};

// In which order blocks, and the warps of a block, get their turn. In the random one a warp also
// has to stop now and then after an instruction that touches memory.
enum class Order { kForward, kReverse, kRandom };

struct Launch {
  const Program* program = nullptr;
  Dim grid, block;
  uint64_t dynamic_shared_bytes = 0;
  std::vector<unsigned char> parameters;
  Order order = Order::kForward;
  uint64_t seed = 0;
};

// Throws Fault.
void run(const Launch& launch, GlobalMemory& global);

}  // namespace ptx
