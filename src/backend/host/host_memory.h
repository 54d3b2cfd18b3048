// How much memory this machine and this process's control group leave us, and what the CPU is.
#pragma once

#include <cstdint>
#include <string>

namespace diabolo {

// The smaller of the machine's memory and the control group's limit.
uint64_t host_memory_bytes();

// What can be allocated now without anything being killed for it: MemAvailable, or what is left
// below the limits of the control group and its ancestors.
uint64_t host_available_bytes();

std::string host_cpu_name();
bool host_has_bf16();

}  // namespace diabolo
