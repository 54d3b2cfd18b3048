// What thread_setup.h promises: denormals flushed and threads pinned inside, all as before outside.
#include "kernels/cpu/thread_setup.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <cfenv>
#include <limits>
#include <thread>
#include <vector>

#include "kernels/cpu/features.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/thread_team.h"

namespace diabolo::kernels::cpu {
namespace {

// Half the smallest normal number: 0 where denormals are flushed.
float half_of_the_smallest() {
  volatile float smallest = std::numeric_limits<float>::min();
  return smallest * 0.5f;
}

cpu_set_t affinity() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  sched_getaffinity(0, sizeof(mask), &mask);
  return mask;
}

std::vector<int> cores_of(const cpu_set_t& mask) {
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &mask)) cores.push_back(core);
  }
  return cores;
}

TEST(ThreadSetup, AWorkersTeamFlushesDenormalsAndIsPinnedOnceItShares) {
  const cpu_set_t before = affinity();
  const int cores = CPU_COUNT(&before);
  ASSERT_NE(half_of_the_smallest(), 0.0f);
  {
    const WorkerSetup setup(2, cores_of(before));
    const cpu_set_t alone = affinity();
    EXPECT_TRUE(CPU_EQUAL(&before, &alone));
    std::vector<float> halves(64);
    std::vector<int> pinned(64);
    parallel_for(2, 64, [&](int64_t k) {
      halves[k] = half_of_the_smallest();
      const cpu_set_t mask = affinity();
      pinned[k] = CPU_COUNT(&mask);
    });
    for (const float half : halves) EXPECT_EQ(half, 0.0f);
    if (cores >= 2) {
      for (const int count : pinned) EXPECT_EQ(count, 1);
    }
  }
  EXPECT_NE(half_of_the_smallest(), 0.0f);
  const cpu_set_t after = affinity();
  EXPECT_TRUE(CPU_EQUAL(&before, &after));
}

// One more CPU than threads, whether or not this machine has it: nobody is told to use it.
TEST(ThreadSetup, AWorkersTeamThatIsSmallerThanItsCpusIsPinnedNowhere) {
  const cpu_set_t before = affinity();
  std::vector<int> cpus = cores_of(before);
  while (cpus.size() < 3) cpus.push_back(cpus.back() + 1);
  const WorkerSetup setup(2, cpus);
  std::atomic<int> begun{0};
  std::atomic<int> wrong{0};
  parallel_for(2, 2, [&](int64_t) {
    for (++begun; begun < 2;) std::this_thread::yield();
    const cpu_set_t mask = affinity();
    if (!CPU_EQUAL(&before, &mask)) ++wrong;
  });
  EXPECT_EQ(wrong, 0);
}

TEST(ThreadSetup, ACallersThreadIsLeftAsItWas) {
  const int mode = std::fegetround();
  std::fesetround(FE_UPWARD);
  {
    const CallerSetup setup;
    EXPECT_EQ(half_of_the_smallest(), 0.0f);
  }
  EXPECT_EQ(std::fegetround(), FE_UPWARD);
  std::fesetround(mode);
  EXPECT_NE(half_of_the_smallest(), 0.0f);
}

TEST(ThreadSetup, ACallersTeamFlushesDenormalsAndLeavesItsCallerAlone) {
  const cpu_set_t before = affinity();
  const auto team = make_call_team(3, cores_of(before));
  const TeamScope scope(team.get());
  const std::thread::id caller = std::this_thread::get_id();
  std::atomic<int> wrong{0};
  for (int round = 0; round < 100; ++round) {
    parallel_for(3, 20, [&](int64_t) {
      const bool is_flushed = half_of_the_smallest() == 0.0f;
      if (is_flushed != (std::this_thread::get_id() != caller)) ++wrong;
    });
  }
  EXPECT_EQ(wrong, 0);
  const cpu_set_t after = affinity();
  EXPECT_TRUE(CPU_EQUAL(&before, &after));
}

TEST(Parallel, EveryChunkIsTakenOnce) {
  for (const int team_size : {1, 2, 5}) {
    ThreadTeam team(team_size, [](int) {});
    const TeamScope scope(&team);
    for (const int threads : {1, 2, 5}) {
      for (const int64_t count : {1, 2, 7, 1000}) {
        for (int round = 0; round < 50; ++round) {
          std::vector<std::atomic<int>> taken(static_cast<size_t>(count));
          parallel_for(threads, count, [&](int64_t k) { ++taken[k]; });
          for (const auto& times : taken) ASSERT_EQ(times, 1);
        }
      }
    }
  }
}

TEST(Parallel, ALoopWithinALoopAndAThreadWithoutATeamWorkAlone) {
  std::vector<std::atomic<int>> taken(100);
  const auto inner = [&](int64_t outer) {
    parallel_for(2, 10, [&](int64_t k) { ++taken[outer * 10 + k]; });
  };
  parallel_for(2, 10, inner);
  ThreadTeam team(2, [](int) {});
  const TeamScope scope(&team);
  parallel_for(2, 10, inner);
  for (const auto& times : taken) EXPECT_EQ(times, 2);
}

// A helper that does not come must not be waited for: here it is kept from its first step.
TEST(Parallel, NobodyWaitsForAHelperThatHasNotBegun) {
  std::atomic<bool> goes_on{false};
  {
    ThreadTeam team(2, [&](int index) {
      while (index > 0 && !goes_on) std::this_thread::yield();
    });
    const TeamScope scope(&team);
    int taken = 0;
    for (int round = 0; round < 10; ++round) parallel_for(2, 100, [&](int64_t) { ++taken; });
    EXPECT_EQ(taken, 1000);
    goes_on = true;
  }
}

TEST(Parallel, SmallWorkIsLeftToOneThread) {
  EXPECT_EQ(threads_for(64, 0), 1);
  EXPECT_EQ(threads_for(64, kLeastNanoseconds * 1.9), 1);
  EXPECT_EQ(threads_for(64, kLeastNanoseconds * 2), 2);
  EXPECT_EQ(threads_for(64, 1e18), 64);
  EXPECT_EQ(threads_for(0, 1e18), 1);
}

TEST(Features, ThisMachineIsDescribed) {
  EXPECT_GE(available_cores(), 1);
  EXPECT_EQ(detect_features().threads, available_cores());
  EXPECT_EQ(detect_features(3).threads, 3);
  EXPECT_FALSE(cpu_name().empty());
  const CpuFeatures cpu = detect_features();
  EXPECT_TRUE(!cpu.has_bf16 || cpu.has_avx512);
}

}  // namespace
}  // namespace diabolo::kernels::cpu
