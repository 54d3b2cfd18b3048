// What thread_setup.h promises: denormals flushed and threads pinned inside, all as before outside.
#include "kernels/cpu/thread_setup.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <cfenv>
#include <limits>
#include <vector>

#include "kernels/cpu/features.h"
#include "kernels/cpu/parallel.h"

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

TEST(ThreadSetup, AWorkersTeamFlushesDenormalsAndIsPinned) {
  const cpu_set_t before = affinity();
  const int cores = CPU_COUNT(&before);
  ASSERT_NE(half_of_the_smallest(), 0.0f);
  {
    const WorkerSetup setup(2);
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

TEST(Parallel, EveryChunkIsTakenOnce) {
  for (const int threads : {1, 2, 5}) {
    std::vector<std::atomic<int>> taken(1000);
    parallel_for(threads, 1000, [&](int64_t k) { ++taken[k]; });
    for (const auto& count : taken) EXPECT_EQ(count, 1);
  }
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
