// The harness must report every planted bug, and nothing about the right kernel.
//
// A bug counts as reported when a launch throws a Bug of the expected kind, when the output is
// wrong under one of the schedules (poisoned values, lost orders), or when the sanitizer stops the
// process.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <optional>
#include <thread>

#include "cuda_host/device_array.h"
#include "cuda_host/planted_bugs.h"
#include "cuda_host/registers.h"
#include "cuda_host/schedules.h"

namespace diabolo {
namespace {

using cuda_host::Bug;
using cuda_host::BugKind;
using test::DeviceArray;

using Kernel = void (*)(const planted::Call&);

#if defined(DIABOLO_HARNESS_RACE)
constexpr bool kRaceBuild = true;
#else
constexpr bool kRaceBuild = false;
#endif

std::vector<float> input() {
  std::vector<float> in(planted::kThreads);
  std::iota(in.begin(), in.end(), 1.0f);
  return in;
}

std::vector<float> run(Kernel kernel) {
  const DeviceArray<float> in(input());
  const DeviceArray<float> out(planted::kThreads);
  const DeviceArray<float> halves(planted::kThreads);
  const DeviceArray<std::uint32_t> arrivals(1);
  kernel({in.data(), out.data(), halves.data(), arrivals.data()});
  return out.read();
}

// The bugs thrown under the schedules, and whether an output was wrong.
struct Outcome {
  std::optional<BugKind> thrown;
  bool is_wrong = false;
};

Outcome outcome(Kernel kernel) {
  const std::vector<float> in = input();
  const std::vector<float> expected(in.rbegin(), in.rend());
  Outcome seen;
  test::for_each_schedule([&] {
    try {
      seen.is_wrong |= run(kernel) != expected;
    } catch (const Bug& bug) {
      seen.thrown = bug.kind;
    }
  });
  return seen;
}

void expect_thrown(Kernel kernel, BugKind kind) {
  const Outcome seen = outcome(kernel);
  ASSERT_TRUE(seen.thrown.has_value());
  EXPECT_STREQ(to_string(*seen.thrown), to_string(kind));
}

// Precisely in the race build; elsewhere some schedule must give a wrong result.
void expect_race_or_wrong(Kernel kernel, BugKind kind) {
  if (kRaceBuild) return expect_thrown(kernel, kind);
  EXPECT_TRUE(outcome(kernel).is_wrong);
}

// By the sanitizer, where there is one.
void expect_stopped(Kernel kernel, const char* message) {
#if defined(__SANITIZE_ADDRESS__)
  EXPECT_DEATH(run(kernel), message);
#else
  (void)kernel;
  (void)message;
#endif
}

TEST(PlantedBugs, RightKernelIsNotReported) {
  const Outcome seen = outcome(planted::none);
  EXPECT_FALSE(seen.thrown.has_value());
  EXPECT_FALSE(seen.is_wrong);
}

TEST(PlantedBugs, GlobalReadPastTheEnd) {
#if !defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "found by AddressSanitizer, preset harness";
#endif
  expect_stopped(planted::global_read_past_the_end, "heap-buffer-overflow");
}

TEST(PlantedBugs, MisalignedVectorLoad) {
  expect_thrown(planted::misaligned_vector_load, BugKind::kMisaligned);
}

TEST(PlantedBugs, MisalignedCopy) {
  expect_thrown(planted::copy_misaligned, BugKind::kMisaligned);
}

TEST(PlantedBugs, SharedOverrun) {
#if defined(__SANITIZE_ADDRESS__)
  expect_stopped(planted::shared_overrun, "use-after-poison");
#else
  expect_thrown(planted::shared_overrun, BugKind::kSharedOverrun);
#endif
}

TEST(PlantedBugs, UninitialisedShared) {
  expect_race_or_wrong(planted::uninitialised_shared, BugKind::kUninitialised);
}

TEST(PlantedBugs, MissingBlockBarrier) {
#if defined(DIABOLO_HARNESS_RACE)
  const auto thrown = outcome(planted::missing_block_barrier).thrown;
  // Which comes first depends on the schedule: the read of what is not yet written, or the race.
  EXPECT_TRUE(thrown == BugKind::kRace || thrown == BugKind::kUninitialised);
#else
  EXPECT_TRUE(outcome(planted::missing_block_barrier).is_wrong);
#endif
}

TEST(PlantedBugs, MissingBarrierBeforeReuse) {
  expect_race_or_wrong(planted::missing_barrier_before_reuse, BugKind::kRace);
}

TEST(PlantedBugs, MissingWarpBarrier) {
#if defined(DIABOLO_HARNESS_RACE)
  const auto thrown = outcome(planted::missing_warp_barrier).thrown;
  EXPECT_TRUE(thrown == BugKind::kRace || thrown == BugKind::kUninitialised);
#else
  EXPECT_TRUE(outcome(planted::missing_warp_barrier).is_wrong);
#endif
}

TEST(PlantedBugs, DivergentBarriers) {
  expect_thrown(planted::barrier_in_one_branch, BugKind::kDivergentBarrier);
  expect_thrown(planted::different_barriers, BugKind::kDivergentBarrier);
}

TEST(PlantedBugs, WrongMasks) {
  expect_thrown(planted::mask_without_caller, BugKind::kWrongMask);
  expect_thrown(planted::mask_with_absent_lanes, BugKind::kWrongMask);
  expect_thrown(planted::different_masks, BugKind::kWrongMask);
  expect_thrown(planted::lane_outside_mask, BugKind::kWrongMask);
}

TEST(PlantedBugs, CopyReadBeforeItsWait) {
#if defined(__SANITIZE_ADDRESS__)
  expect_stopped(planted::copy_read_before_wait, "use-after-poison");
#else
  expect_thrown(planted::copy_read_before_wait, BugKind::kAsyncNotWaited);
#endif
  expect_race_or_wrong(planted::copy_of_4_bytes_read_before_wait, BugKind::kAsyncNotWaited);
}

TEST(PlantedBugs, CopyReadWithoutBarrier) {
#if defined(DIABOLO_HARNESS_RACE)
  const auto thrown = outcome(planted::copy_read_without_barrier).thrown;
  EXPECT_TRUE(thrown == BugKind::kRace || thrown == BugKind::kAsyncNotWaited);
#else
  EXPECT_TRUE(outcome(planted::copy_read_without_barrier).is_wrong);
#endif
}

TEST(PlantedBugs, CopyNeverWaitedFor) {
  expect_thrown(planted::copy_never_waited_for, BugKind::kAsyncNotWaited);
}

TEST(PlantedBugs, TwoBlocksWriteOnePlace) {
  if (!kRaceBuild) GTEST_SKIP() << "found by the race detector, preset harness-race";
  expect_thrown(planted::two_blocks_write_one_place, BugKind::kRace);
}

TEST(PlantedBugs, BlocksThatHandOn) {
  for (const Kernel kernel : {planted::last_block, planted::last_block_moves_on}) {
    const Outcome right = outcome(kernel);
    EXPECT_FALSE(right.thrown.has_value());
    EXPECT_FALSE(right.is_wrong);
  }
  EXPECT_TRUE(outcome(planted::last_block_without_arrival).is_wrong || kRaceBuild);
  if (!kRaceBuild) GTEST_SKIP() << "the rest is found by the race detector, preset harness-race";
  expect_thrown(planted::last_block_without_barrier_before, BugKind::kRace);
  expect_thrown(planted::last_block_without_barrier_after, BugKind::kRace);
  expect_thrown(planted::last_block_without_arrival, BugKind::kRace);
  expect_thrown(planted::last_block_moves_on_too_early, BugKind::kRace);
}

TEST(Registers, AreHandedOutToWholeWarps) {
  EXPECT_EQ(cuda_host::block_registers(0, 1024), 0U);
  EXPECT_EQ(cuda_host::block_registers(64, 1024), 65536U);
  EXPECT_EQ(cuda_host::block_registers(65, 1024), 73728U);
  EXPECT_EQ(cuda_host::block_registers(255, 256), 65536U);
  EXPECT_EQ(cuda_host::block_registers(1, 33), 512U);
}

TEST(PlantedBugs, LaunchLimits) {
  expect_thrown(planted::too_many_threads, BugKind::kLaunchLimit);
  expect_thrown(planted::too_many_registers, BugKind::kLaunchLimit);
  expect_thrown(planted::grid_too_tall, BugKind::kLaunchLimit);
  expect_thrown(planted::shared_without_opt_in, BugKind::kLaunchLimit);
  expect_thrown(planted::shared_above_device, BugKind::kLaunchLimit);
}

// A report carries what one needs to see it again.
TEST(PlantedBugs, ReportNamesThreadAndSeed) {
  cuda_host::set_schedule({cuda_host::Schedule::Order::kRandom, 99});
  try {
    run(planted::mask_without_caller);
    FAIL() << "not reported";
  } catch (const Bug& bug) {
    EXPECT_NE(std::string(bug.what()).find("thread ("), std::string::npos);
    EXPECT_NE(std::string(bug.what()).find("seed 99"), std::string::npos);
  }
  cuda_host::set_schedule({});
}

// A launcher may keep launches and run them later, on another thread; parameters are copies.
TEST(Launcher, RunsLater) {
  const DeviceArray<float> in(input());
  const DeviceArray<float> out(planted::kThreads);
  std::vector<cuda_host::LaunchSpec> queue;
  cuda_host::set_launcher([&](cuda_host::LaunchSpec&& spec) { queue.push_back(std::move(spec)); });
  planted::Call call{in.data(), out.data()};
  planted::none(call);
  call = {nullptr, nullptr};
  cuda_host::set_launcher({});
  ASSERT_EQ(queue.size(), 1U);
  EXPECT_EQ(out.read(), std::vector<float>(planted::kThreads));
  std::thread([&] { cuda_host::run(queue[0]); }).join();
  const std::vector<float> expected = [&] {
    const std::vector<float> forward = input();
    return std::vector<float>(forward.rbegin(), forward.rend());
  }();
  EXPECT_EQ(out.read(), expected);
}

}  // namespace
}  // namespace diabolo
