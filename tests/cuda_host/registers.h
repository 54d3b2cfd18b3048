// How many registers a thread of a kernel may take on a device: from kernels/cuda/ptxas_budget.txt,
// which scripts/check_ptxas.py holds every build against. The harness has no registers of its own.
#pragma once

#include <string>

namespace cuda_host {

// The mangled name of a function of this program, from its symbol table; empty if it has none
// there.
std::string symbol_of(const void* function);

// By the first line of the budget that is found in the kernel's mangled name; 0 if none is (kernels
// that only tests have).
int registers_of(const void* kernel);

// What a block of so many threads takes: registers are handed out to warps, 256 at a time.
unsigned long long block_registers(int registers, unsigned long long threads);

}  // namespace cuda_host
