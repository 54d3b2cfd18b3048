#include "backend/host/cpu_quota.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string_view>
#include <system_error>

namespace diabolo {

namespace {

std::optional<double> number_of(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_positive = error == std::errc() && end == text.data() + text.size() && value > 0;
  return is_positive ? std::optional(value) : std::nullopt;  // "max" and -1 are no limits
}

std::optional<double> ratio(const std::string& quota, const std::string& period) {
  const std::optional<double> some = number_of(quota), whole = number_of(period);
  return some && whole ? std::optional(*some / *whole) : std::nullopt;
}

std::string word_of(const std::string& path) {
  std::string word;
  std::ifstream(path) >> word;
  return word;
}

// cpu.max: "150000 100000" or "max 100000".
std::optional<double> quota_2(const std::string& group) {
  std::string quota, period;
  std::ifstream(group + "/cpu.max") >> quota >> period;
  return ratio(quota, period);
}

std::optional<double> quota_1(const std::string& group) {
  return ratio(word_of(group + "/cpu.cfs_quota_us"), word_of(group + "/cpu.cfs_period_us"));
}

// The smallest of the group at `path` below `mount` and of all above it. In a container the path
// may be the host's, which is not there; the mount itself then is the container's group.
template <class Quota>
void take_smallest(const std::string& mount, std::string path, Quota quota,
                   std::optional<double>& smallest) {
  if (path.find("..") != std::string::npos) path.clear();  // above what this namespace shows
  for (;;) {
    while (path.ends_with('/')) path.pop_back();
    if (const std::optional<double> found = quota(mount + path))
      smallest = std::min(*found, smallest.value_or(*found));
    if (path.empty()) return;
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
}

// A line of /proc/self/cgroup: "4:cpu,cpuacct:/path", version 2 "0::/path".
void take_line(const std::string& line, const std::string& root, std::optional<double>& smallest) {
  const size_t first = line.find(':');
  const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
  if (second == std::string::npos) return;
  const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
  const std::string path = line.substr(second + 1);
  if (controllers == ",,") {
    for (const char* mount : {"", "/unified"}) take_smallest(root + mount, path, quota_2, smallest);
  } else if (controllers.find(",cpu,") != std::string::npos) {
    for (const char* mount : {"/cpu", "/cpu,cpuacct", "/cpuacct,cpu"})
      take_smallest(root + mount, path, quota_1, smallest);
  }
}

}  // namespace

std::optional<double> cpu_quota(const CgroupPaths& paths) {
  std::optional<double> smallest;
  std::ifstream membership(paths.membership);
  for (std::string line; std::getline(membership, line);) take_line(line, paths.root, smallest);
  return smallest;
}

}  // namespace diabolo
