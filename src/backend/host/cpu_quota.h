// How much processor time the control groups of this process allow: what a container's CPU limit
// becomes. A process with more threads than that is stopped for a part of every period.
#pragma once

#include <optional>
#include <string>

namespace diabolo {

// Where Linux says so; another place in tests.
struct CgroupPaths {
  std::string membership = "/proc/self/cgroup";
  std::string root = "/sys/fs/cgroup";
};

// The smallest quota of the process's own group and those above it, in CPUs (1.5: three halves of
// one); empty where there is none. Reads cpu.max (version 2) and cpu.cfs_quota_us (version 1) at
// their usual places; what cannot be read or makes no sense limits nothing.
std::optional<double> cpu_quota(const CgroupPaths& paths = {});

}  // namespace diabolo
