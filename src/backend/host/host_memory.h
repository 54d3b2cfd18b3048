// How much memory this machine and this process's control group leave us.
#pragma once

#include <cstdint>

namespace diabolo {

// The smaller of the machine's memory and the control group's limit.
uint64_t host_memory_bytes();

// What can be allocated now without anything being killed for it: MemAvailable, or what is left
// below the limits of the control group and its ancestors.
uint64_t host_available_bytes();

}  // namespace diabolo
