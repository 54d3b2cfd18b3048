// The PTX that nvcc left in the program, and which host function stands for which kernel.
#pragma once

#include "program.h"

namespace ptx {

// The kernel behind a host function, decoded when it is first asked for. Throws Fault.
const Program& program_of(const void* function);
// Null: no kernel.
const char* name_of(const void* function);

}  // namespace ptx
