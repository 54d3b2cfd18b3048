// A kernel decoded for execution: every operand is a row of the register file.
//
// A row has 32 words, one for each lane; 64-bit registers take two rows. Immediates and special
// registers are rows too, so that an instruction is one loop over lanes. A predicate is the first
// word of its row, bit by lane.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "module.h"

namespace ptx {

class Warp;
struct Op;

// Executes an instruction for the lanes of `exec`.
using Handler = void (*)(Warp& warp, const Op& op, uint32_t exec);

enum class Flow : uint8_t {
  kPlain,
  kBranch,
  kExit,
  kBlockBarrier,  // bar.sync: all threads of the block
  kWholeWarp,     // all lanes of the warp take part
  kMaskedWarp,    // the lanes of the mask that is the last operand take part
};

constexpr int kMostOperands = 16;

struct Op {
  Handler run = nullptr;
  Flow flow = Flow::kPlain;
  uint8_t destinations = 0;
  uint8_t operands = 0;
  bool has_guard = false, guard_is_negated = false;
  bool touches_memory = false;
  bool has_wide_address[2] = {false, false};
  bool has_wide_registers = false;  // 64 bits, for data that may be narrower
  uint16_t checked = 0;             // bit k: operand k is a register that must have been written
  uint16_t negated = 0;             // bit k: predicate operand k is negated
  uint32_t guard = 0;
  uint32_t target = 0;        // of a branch
  uint32_t immediate = 0;     // of bar.sync, cp.async, cp.async.wait_group
  uint32_t used_bytes = ~0U;  // of what a load reads
  int64_t offset[2] = {0, 0};
  std::array<uint32_t, kMostOperands> row{};
  uint32_t line = 0;
};

struct Parameter {
  uint64_t offset = 0, bytes = 0;
};

struct Constant {
  uint32_t row = 0;
  bool is_wide = false;  // 64 bits a lane
  uint64_t bits = 0;
};

enum class Special {
  kTidX,
  kTidY,
  kTidZ,
  kCtaidX,
  kCtaidY,
  kCtaidZ,
  kNtidX,
  kNtidY,
  kNtidZ,
  kNctaidX,
  kNctaidY,
  kNctaidZ,
  kLaneid,
  kLaneMaskLt,
  kCount
};

struct Program {
  std::string name;
  std::vector<Op> ops;
  std::vector<std::string> texts;  // of the instructions
  std::vector<Constant> constants;
  std::vector<uint32_t> special_rows = std::vector<uint32_t>(size_t(Special::kCount));
  uint32_t rows = 0;
  std::vector<Parameter> parameters;
  uint64_t parameter_bytes = 0;
  uint64_t static_shared_bytes = 0;  // the launch's follow
  unsigned shared_cell_bytes = 4;    // the smallest access to shared memory: 1, 2 or 4
  uint32_t most_threads[3] = {0, 0, 0};
};

// Where spaces lie. An address of shared memory counts from kSharedBegin; its generic form has
// other low bits, so that one taken for the other is out of bounds.
constexpr uint64_t kSharedBegin = 0x400;
constexpr uint64_t kParameterBegin = 0x1000;
constexpr uint64_t kGenericShared = 0xFFFF000010000000;
constexpr uint64_t kGenericParameter = 0xFFFF000110000000;

// Throws Fault(kUnknown) for an opcode, a modifier or an operand that is not known.
Program decode(const KernelText& text);

}  // namespace ptx
