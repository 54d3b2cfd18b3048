#include "backend/host/host_memory.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <sstream>
#include <string_view>

namespace diabolo {

namespace {

constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

// The number after `key` at the start of a line of `path`; `otherwise` if there is none.
uint64_t number_in(const std::string& path, std::string_view key, uint64_t otherwise) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!std::string_view(line).starts_with(key)) continue;
    const size_t begin = line.find_first_not_of(" \t:", key.size());
    if (begin == std::string::npos) return otherwise;
    uint64_t value = 0;
    const char* end = line.data() + line.size();
    if (std::from_chars(line.data() + begin, end, value).ec == std::errc()) return value;
    return otherwise;  // "max": no limit
  }
  return otherwise;
}

uint64_t meminfo_bytes(std::string_view key) {
  const uint64_t kib = number_in("/proc/meminfo", key, kUnlimited);
  return kib > kUnlimited / 1024 ? kUnlimited : kib * 1024;
}

struct GroupFiles {
  std::string mount, limit, usage, reclaimable;
};
const GroupFiles kVersion2 = {"/sys/fs/cgroup", "/memory.max", "/memory.current", "inactive_file "};
const GroupFiles kVersion1 = {"/sys/fs/cgroup/memory", "/memory.limit_in_bytes",
                              "/memory.usage_in_bytes", "total_inactive_file "};

struct GroupMemory {
  uint64_t limit_bytes = kUnlimited;
  uint64_t left_bytes = kUnlimited;
};

// The tightest of the group at `path` and its ancestors. Page cache that the kernel would drop
// first counts as free.
void tighten(const GroupFiles& files, std::string path, GroupMemory& memory) {
  while (true) {
    const std::string folder = files.mount + path;
    const uint64_t limit = number_in(folder + files.limit, "", kUnlimited);
    if (limit != kUnlimited) {
      const uint64_t usage = number_in(folder + files.usage, "", 0);
      const uint64_t cache = number_in(folder + "/memory.stat", files.reclaimable, 0);
      const uint64_t held = usage - std::min(usage, cache);
      memory.limit_bytes = std::min(memory.limit_bytes, limit);
      memory.left_bytes = std::min(memory.left_bytes, limit - std::min(limit, held));
    }
    if (path.empty()) return;
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
}

GroupMemory group_memory() {
  GroupMemory memory;
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    // "0::/a/b" (version 2) or "4:memory:/a/b" (version 1)
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    if (path == "/") path.clear();
    if (controllers.empty()) tighten(kVersion2, path, memory);
    if (("," + controllers + ",").find(",memory,") != std::string::npos) {
      tighten(kVersion1, path, memory);
    }
  }
  return memory;
}

}  // namespace

uint64_t host_memory_bytes() {
  return std::min(meminfo_bytes("MemTotal"), group_memory().limit_bytes);
}

uint64_t host_available_bytes() {
  return std::min(meminfo_bytes("MemAvailable"), group_memory().left_bytes);
}

}  // namespace diabolo
