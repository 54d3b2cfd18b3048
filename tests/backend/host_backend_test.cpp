#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>
#include <xmmintrin.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <ctime>
#include <fstream>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <thread>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "backend/backend.h"
#include "backend/host/host_threads.h"
#include "base/error.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/thread_setup.h"

namespace diabolo {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class HostStreams : public testing::TestWithParam<StreamKind> {
 protected:
  std::unique_ptr<Backend> backend_ = create_host_backend();
  std::unique_ptr<Stream> stream_ = backend_->create_stream(GetParam());
};

TEST_P(HostStreams, WorkRunsInOrder) {
  std::vector<int> order;
  for (int i = 0; i < 1000; ++i) stream_->submit([&order, i](void*) { order.push_back(i); });
  stream_->synchronize();
  std::vector<int> expected(1000);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(order, expected);
}

TEST_P(HostStreams, CopiesAndFillsKeepTheirOrder) {
  Buffer a(*backend_, 100), b(*backend_, 100);
  StagingBuffer in(*backend_, 100), out(*backend_, 100);
  std::memset(in.data(), 7, 100);
  stream_->copy_in(a.data(), in.data(), 100);
  stream_->copy_within(b.data(), a.data(), 100);
  stream_->fill(static_cast<char*>(b.data()) + 50, 9, 50);
  stream_->copy_out(out.data(), b.data(), 100);
  stream_->synchronize();
  EXPECT_EQ(out.as<char>()[49], 7);
  EXPECT_EQ(out.as<char>()[50], 9);
}

TEST_P(HostStreams, AFailureIsRethrownOnceAndLaterWorkDroppedUntilThen) {
  bool later = false, after = false;
  stream_->submit([](void*) { throw std::runtime_error("first"); });
  stream_->submit([](void*) { throw std::runtime_error("second"); });
  stream_->submit([&](void*) { later = true; });
  try {
    stream_->synchronize();
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "first");
  }
  stream_->submit([&](void*) { after = true; });
  stream_->synchronize();
  EXPECT_FALSE(later);
  EXPECT_TRUE(after);
}

TEST_P(HostStreams, AnEventRethrowsWhatTheWorkBeforeItThrew) {
  const auto good = stream_->record_event();
  stream_->submit([](void*) { throw std::runtime_error("before"); });
  const auto bad = stream_->record_event();
  EXPECT_NO_THROW(good->wait());
  EXPECT_THROW(bad->wait(), std::runtime_error);
  EXPECT_NO_THROW(stream_->synchronize());  // has been heard of
}

TEST_P(HostStreams, WhatWaitsForFailedWorkFailsToo) {
  bool ran = false;
  const auto other = backend_->create_stream(GetParam());
  stream_->submit([](void*) { throw std::runtime_error("upstream"); });
  other->wait_for(*stream_->record_event());
  other->submit([&](void*) { ran = true; });
  EXPECT_THROW(other->synchronize(), std::runtime_error);
  EXPECT_FALSE(ran);
  EXPECT_THROW(stream_->synchronize(), std::runtime_error);
}

TEST_P(HostStreams, AReplayRunsAsOftenAsItIsLaunchedAndNotWhenRecorded) {
  int runs = 0;
  const auto replay = backend_->record(*stream_, [&](void*) { ++runs; });
  stream_->synchronize();
  EXPECT_EQ(runs, 0);
  for (int i = 0; i < 5; ++i) replay->launch(*stream_);
  stream_->synchronize();
  EXPECT_EQ(runs, 5);
}

TEST_P(HostStreams, TheLastHandleOfAReplayMayGoBeforeItHasRun) {
  auto data = std::make_shared<int>(0);
  backend_->record(*stream_, [data](void*) { ++*data; })->launch(*stream_);
  stream_->synchronize();
  EXPECT_EQ(*data, 1);
  EXPECT_EQ(data.use_count(), 1);
}

TEST_P(HostStreams, DenormalsAreFlushedInside) {
  volatile float tiny = std::numeric_limits<float>::min();
  float half = 1;
  stream_->submit([&](void*) { half = tiny / 2; });
  stream_->synchronize();
  EXPECT_EQ(half, 0.0f);
  EXPECT_NE(tiny / 2, 0.0f);
}

TEST_P(HostStreams, TheCallersThreadIsLeftAsItWas) {
  cpu_set_t affinity, affinity_after;
  sched_getaffinity(0, sizeof affinity, &affinity);
  sigset_t signals, signals_after;
  pthread_sigmask(SIG_SETMASK, nullptr, &signals);
  const unsigned control = _mm_getcsr();
  _mm_setcsr(control | 0x2000);  // round down: a mode that is not ours
#ifdef _OPENMP
  omp_set_num_threads(3);
#endif
  stream_->submit([](void*) {});
  const auto other = backend_->create_stream(GetParam());
  other->submit([](void*) { throw std::runtime_error("also when it fails"); });
  EXPECT_THROW(other->synchronize(), std::runtime_error);
  stream_->synchronize();
#ifdef _OPENMP
  EXPECT_EQ(omp_get_max_threads(), 3);
#endif
  EXPECT_EQ(_mm_getcsr() & ~0x3fu, (control | 0x2000) & ~0x3fu);  // but for the sticky flags
  _mm_setcsr(control);
  pthread_sigmask(SIG_SETMASK, nullptr, &signals_after);
  sched_getaffinity(0, sizeof affinity_after, &affinity_after);
  EXPECT_TRUE(CPU_EQUAL(&affinity, &affinity_after));
  for (int signal = 1; signal < NSIG; ++signal) {
    EXPECT_EQ(sigismember(&signals, signal), sigismember(&signals_after, signal)) << signal;
  }
}

INSTANTIATE_TEST_SUITE_P(, HostStreams,
                         testing::Values(StreamKind::kOwnThread, StreamKind::kCallerThread),
                         [](const auto& test) {
                           return test.param == StreamKind::kOwnThread ? "OwnThread"
                                                                       : "CallerThread";
                         });

TEST(HostWorker, WorksOnAThreadOfItsOwnThatTakesNoSignals) {
  const auto backend = create_host_backend();
  const auto stream = backend->create_stream();
  std::thread::id worker;
  sigset_t signals;
  stream->submit([&](void*) {
    worker = std::this_thread::get_id();
    pthread_sigmask(SIG_SETMASK, nullptr, &signals);
  });
  stream->synchronize();
  EXPECT_NE(worker, std::this_thread::get_id());
  EXPECT_TRUE(sigismember(&signals, SIGINT));
  EXPECT_FALSE(sigismember(&signals, SIGSEGV));
}

// As many tasks as threads, each of which waits for all others: so each is another thread's.
TEST(HostWorker, HasItsOwnPinnedTeamThatFlushesDenormals) {
  const int threads = static_cast<int>(allowed_cpus().size());
  const auto backend = create_host_backend(threads);
  const auto stream = backend->create_stream();
  std::vector<int> cpus(threads, -1);
  std::vector<unsigned> control(threads, 0);
  std::atomic<int> begun{0};
  stream->submit([&](void*) {
    kernels::cpu::parallel_for(threads, threads, [&](int64_t thread) {
      for (++begun; begun < threads;) std::this_thread::yield();
      cpu_set_t set;
      sched_getaffinity(0, sizeof set, &set);
      if (threads == 1 || CPU_COUNT(&set) == 1) cpus[thread] = sched_getcpu();
      control[thread] = _mm_getcsr();
    });
  });
  stream->synchronize();
  if (threads > 1) {
    EXPECT_THAT(cpus, testing::UnorderedElementsAreArray(allowed_cpus()));
  }
  for (unsigned mode : control) EXPECT_EQ(mode & 0x8040, 0x8040u);
}

// As a quota or --threads makes them; every process of the machine would choose the same CPUs.
TEST(HostWorker, FewerThreadsThanCpusArePinnedNowhere) {
  const std::vector<int> all = allowed_cpus();
  const int threads = std::max(1, static_cast<int>(all.size()) - 1);
  const auto backend = create_host_backend(threads);
  const auto stream = backend->create_stream();
  std::vector<int> counts(64, 0);
  stream->submit([&](void*) {
    kernels::cpu::parallel_for(threads, 64, [&](int64_t task) {
      cpu_set_t set;
      sched_getaffinity(0, sizeof set, &set);
      counts[task] = CPU_COUNT(&set);
    });
  });
  stream->synchronize();
  EXPECT_THAT(counts, testing::Each(static_cast<int>(all.size())));
}

double process_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// Where caller and worker share a core, whoever waits leaves it to the other: a round trip costs
// two switches, not 30 us of looking on either side.
TEST(HostWorker, NobodySpinsOnTheCoreThatTheOtherNeeds) {
  constexpr int kTrips = 200;
  double least = 1;
  std::thread([&] {
    kernels::cpu::confine_this_thread({allowed_cpus().front()});
    const auto backend = create_host_backend(1);
    const auto stream = backend->create_stream();
    stream->submit([](void*) { kernels::cpu::confine_this_thread({allowed_cpus().front()}); });
    for (int round = 0; round < 10; ++round) {
      const double begin = process_seconds();
      for (int trip = 0; trip < kTrips; ++trip) {
        stream->submit([](void*) {});
        stream->synchronize();
      }
      least = std::min(least, (process_seconds() - begin) / kTrips);
    }
  }).join();
  EXPECT_LT(least, 40e-6);
}

TEST(HostWorker, EventsOrderStreams) {
  const auto backend = create_host_backend(1);
  const auto producer = backend->create_stream();
  const auto consumer = backend->create_stream();
  int value = 0;
  for (int round = 1; round <= 200; ++round) {
    int seen = 0;
    producer->submit([&](void*) {
      if (round % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      value = round;
    });
    consumer->wait_for(*producer->record_event());
    consumer->submit([&](void*) { seen = value; });
    const auto read = consumer->record_event();
    producer->wait_for(*read);
    read->wait();
    EXPECT_TRUE(read->is_done());
    ASSERT_EQ(seen, round);
  }
}

TEST(HostWorker, DestructionFinishesWhatWasSubmitted) {
  const auto backend = create_host_backend();
  int ran = 0;
  std::unique_ptr<Event> event;
  {
    const auto stream = backend->create_stream();
    for (int i = 0; i < 500; ++i) stream->submit([&](void*) { ++ran; });
    event = stream->record_event();
  }
  EXPECT_EQ(ran, 500);
  EXPECT_TRUE(event->is_done());
}

TEST(HostWorker, WorkSubmittedBeforeAFailureWasHeardOfIsNeverRunAfterwards) {
  const auto backend = create_host_backend(1);
  const auto stream = backend->create_stream();
  for (int round = 0; round < 200; ++round) {
    std::atomic<bool> ran = false;
    stream->submit([](void*) { throw std::runtime_error("x"); });
    const auto event = stream->record_event();
    stream->submit([&](void*) { ran = true; });
    EXPECT_THROW(event->wait(), std::runtime_error);
    EXPECT_NO_THROW(stream->synchronize());
    ASSERT_FALSE(ran);
  }
}

TEST(HostMemory, IsAlignedAndZeroBytesAreNull) {
  const auto backend = create_host_backend();
  for (uint64_t bytes : {1ull, 255ull, 257ull, 3ull << 20}) {
    const Buffer buffer(*backend, bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 256, 0u);
    std::memset(buffer.data(), 1, bytes);
  }
  EXPECT_EQ(backend->allocate(0), nullptr);
}

TEST(HostMemory, WhatDoesNotFitIsAnErrorWithBothSizes) {
  const auto backend = create_host_backend();
  const uint64_t too_much = backend->free_bytes() * 2;
  for (uint64_t bytes : {too_much, uint64_t{1} << 62, ~uint64_t{0}}) {
    try {
      backend->allocate(bytes);
      FAIL() << bytes;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kResource);
      EXPECT_THAT(error.what(), HasSubstr(cat("wanted ", bytes, " bytes")));
      EXPECT_THAT(error.what(), HasSubstr("free "));
    }
  }
}

// Memory that is only promised does not count as used, so the next check would not see it.
TEST(HostMemory, LargeAllocationsAreThereAtOnce) {
  const auto resident_bytes = [] {
    uint64_t pages = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> pages >> resident;
    return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  };
  const auto backend = create_host_backend();
  const uint64_t bytes = uint64_t{64} << 20;
  const uint64_t before = resident_bytes();
  const Buffer buffer(*backend, bytes);
  EXPECT_GE(resident_bytes(), before + bytes / 2);
}

TEST(HostBackend, TakesAsManyThreadsAsThereAreCpusAndNeverMore) {
  const int most = static_cast<int>(allowed_cpus().size());
  EXPECT_EQ(create_host_backend()->info().cpu.threads, choose_threads(0).threads);
  EXPECT_EQ(create_host_backend(1)->info().cpu.threads, 1);
  EXPECT_EQ(create_host_backend(most + 1)->info().cpu.threads, most);
  EXPECT_THROW(create_host_backend(-1), Error);
}

TEST(DeviceInfo, KnowsTheDevicesOfItsList) {
  for (const char* name : known_device_names()) EXPECT_TRUE(device_from_name(name)) << name;
  EXPECT_FALSE(device_from_name("sm_70"));
  EXPECT_FALSE(device_from_name(""));
  const DeviceInfo h100 = *device_from_name("sm_90");
  EXPECT_EQ(h100.cuda.arch, 90);
  EXPECT_EQ(h100.cuda.multiprocessors, 132);
  EXPECT_EQ(h100.cuda.shared_bytes_per_block, 232448);
  const DeviceInfo cpu = *device_from_name("cpu");
  EXPECT_EQ(cpu.space, Space::kHost);
  EXPECT_FALSE(cpu.name.empty());
  EXPECT_GT(cpu.memory_bytes, uint64_t{64} << 20);
}

}  // namespace
}  // namespace diabolo
