// What the interpreter says is wrong with a kernel, or with itself.
#pragma once

#include <stdexcept>
#include <string>

namespace ptx {

enum class FaultKind {
  kUnknown,         // an opcode, a modifier or a directive that the interpreter does not know
  kLaunch,          // a launch that a device refuses
  kBounds,          // an address outside every allocation, or of the wrong space
  kMisaligned,      // an address that the instruction traps on
  kUninitialised,   // a read of shared memory that no thread wrote
  kAsyncNotWaited,  // a touch of a cp.async destination before its wait, or a copy never waited for
  kRace,       // two threads touch a byte of shared memory, one writes, nothing between orders them
  kDivergent,  // lanes wait at different barriers or collectives, or have exited
  kWrongMask,  // a mask that does not name the lanes that take part
  kUndefinedRegister,  // a read of a register that was not written
  kArithmetic,         // a result that the ISA leaves open: division by zero
};

// Thrown by a launch. The message names kernel, line, instruction, block, warp and lane.
class Fault : public std::runtime_error {
 public:
  Fault(FaultKind fault_kind, const std::string& message)
      : std::runtime_error(message), kind(fault_kind) {}
  FaultKind kind;
};

const char* to_string(FaultKind kind);

}  // namespace ptx
