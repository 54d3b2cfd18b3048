// How many threads a process takes: its CPUs, the quota of its control group, what is asked for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "backend/host/cpu_quota.h"
#include "backend/host/host_threads.h"

namespace diabolo {
namespace {

using ::testing::HasSubstr;

ThreadLimits limits(int process, int machine, std::optional<double> quota = {}, int openmp = 999) {
  return {process, machine, openmp, quota};
}

TEST(ThreadChoice, IsAllCpusOfTheProcessUnlessAQuotaAllowsLess) {
  EXPECT_EQ(choose_threads(0, limits(8, 8)).threads, 8);
  EXPECT_EQ(choose_threads(0, limits(64, 64, 2.0)).threads, 2);
  EXPECT_EQ(choose_threads(0, limits(64, 64, 1.5)).threads, 2);
  EXPECT_EQ(choose_threads(0, limits(4, 8, 100.0)).threads, 4);
  EXPECT_EQ(choose_threads(0, limits(8, 8, {}, 3)).threads, 3);
  EXPECT_EQ(choose_threads(4, limits(8, 8, 2.0)).threads, 4);  // asked for: the quota is no bound
  EXPECT_EQ(choose_threads(0, limits(8, 8, 2.0)).note, "");
}

TEST(ThreadChoice, SaysWhereThereAreFewerThanAskedForAndWhereThereIsOne) {
  const ThreadChoice fewer = choose_threads(64, limits(2, 8));
  EXPECT_EQ(fewer.threads, 2);
  EXPECT_EQ(fewer.note, "threads: 64 asked for, 2 used: this process may run on 2 CPUs");
  EXPECT_EQ(choose_threads(64, limits(8, 8, {}, 3)).note,
            "threads: 64 asked for, 3 used: OMP_THREAD_LIMIT is 3");
  EXPECT_EQ(choose_threads(0, limits(1, 8)).note,
            "threads: one is used, though this machine has 8 CPUs: this process may run on 1 CPU");
  EXPECT_THAT(choose_threads(0, limits(8, 8, 0.5)).note, HasSubstr("control group is 0.5"));
  EXPECT_EQ(choose_threads(1, limits(8, 8)).note, "");
  EXPECT_EQ(choose_threads(0, limits(1, 1)).note, "");
}

class CpuQuota : public testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = folder_ / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text << "\n";
  }
  std::optional<double> quota(const std::string& membership) {
    write("membership", membership);
    return cpu_quota({folder_ / "membership", folder_ / "cgroup"});
  }
  ~CpuQuota() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_ = [] {
    std::string path = testing::TempDir() + "/quota_XXXXXX";
    return std::filesystem::path(mkdtemp(path.data()));
  }();
};

TEST_F(CpuQuota, IsTheSmallestOfTheGroupAndThoseAboveIt) {
  write("cgroup/a/cpu.max", "300000 100000");
  write("cgroup/a/b/cpu.max", "max 100000");
  write("cgroup/a/b/c/cpu.max", "800000 100000");
  EXPECT_EQ(quota("0::/a/b/c"), 3.0);
  EXPECT_EQ(quota("0::/a/b"), 3.0);
  EXPECT_EQ(quota("0::/"), std::nullopt);
  write("cgroup/cpu.max", "150000 100000");  // a container sees its own group as the root
  EXPECT_EQ(quota("0::/"), 1.5);
  EXPECT_EQ(quota("0::/not/there"), 1.5);
  EXPECT_EQ(quota("0::/../../other"), 1.5);
}

TEST_F(CpuQuota, IsReadFromTheFirstVersionToo) {
  write("cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "250000");
  write("cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000");
  write("cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1");
  write("cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000");
  EXPECT_EQ(quota("12:memory:/x\n4:cpu,cpuacct:/x\n0::/"), 2.5);
  EXPECT_EQ(quota("5:cpuset:/x"), std::nullopt);
}

TEST_F(CpuQuota, WhatMakesNoSenseLimitsNothing) {
  for (const char* text :
       {"", "0 100000", "-5 100000", "nonsense", "100000", "1e9x 1", "100000 0"}) {
    write("cgroup/cpu.max", text);
    EXPECT_EQ(quota("0::/"), std::nullopt) << text;
  }
  EXPECT_EQ(quota("no colons at all"), std::nullopt);
  EXPECT_EQ(cpu_quota({"/not/there", "/not/there"}), std::nullopt);
}

}  // namespace
}  // namespace diabolo
