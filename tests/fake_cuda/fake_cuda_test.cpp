// The fake device itself: what it must do late, refuse, and report. Each test of a report plants
// the bug that is to be reported.
#include "fake_cuda/fake_cuda.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "fake_cuda/rig.h"

namespace {

using fake_cuda_test::FakeCuda;
using fake_cuda_test::kBytes;
using fake_cuda_test::Rig;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(FakeCuda, ACopyHappensWhenItIsWaitedForAndNotBefore) {
  Rig rig;
  std::memset(rig.pinned, 1, kBytes);
  rig.in();
  std::memset(rig.pinned, 2, kBytes);  // too early: the copy will see it
  rig.out();
  rig.pinned[0] = 3;  // and this, since it is still before
  EXPECT_EQ(fake_cuda::counters().operations_run, 0);
  EXPECT_EQ(cudaStreamSynchronize(rig.stream), cudaSuccess);
  EXPECT_EQ(rig.pinned[0], 3);
  EXPECT_EQ(rig.pinned[1], 2);
}

TEST_F(FakeCuda, AnEventRunsWhatIsBeforeItAndNoMore) {
  Rig rig;
  cudaEvent_t event = nullptr;
  cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
  rig.in();
  EXPECT_EQ(cudaEventRecord(event, rig.stream), cudaSuccess);
  rig.out();
  EXPECT_EQ(cudaEventQuery(event), cudaErrorNotReady);
  EXPECT_EQ(cudaEventSynchronize(event), cudaSuccess);
  EXPECT_EQ(cudaEventQuery(event), cudaSuccess);
  EXPECT_EQ(fake_cuda::counters().operations_run, 1);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);  // not ready is no error
  cudaEventDestroy(event);
}

// Stream a writes, stream b reads, the host waits for both, a first. Returns what b has read.
char read_across_streams(bool waits) {
  Rig a;
  Rig b;
  cudaEvent_t event = nullptr;
  cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
  std::memset(a.pinned, 0, kBytes);
  a.in();
  cudaStreamSynchronize(a.stream);
  std::memset(a.pinned, 7, kBytes);
  a.in();
  cudaEventRecord(event, a.stream);
  if (waits) cudaStreamWaitEvent(b.stream, event, 0);
  cudaMemcpyAsync(b.pinned, a.device, kBytes, cudaMemcpyDeviceToHost, b.stream);
  cudaStreamSynchronize(a.stream);
  cudaStreamSynchronize(b.stream);
  cudaEventDestroy(event);
  return b.pinned[0];
}

TEST_F(FakeCuda, AMissingWaitBetweenStreamsIsFoundBySomeSeeds) {
  int found = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    fake_cuda::reset(seed);
    EXPECT_EQ(read_across_streams(true), 7) << seed;
    fake_cuda::reset(seed);
    if (read_across_streams(false) != 7) ++found;
  }
  EXPECT_GE(found, 3);
}

TEST_F(FakeCuda, WhatIsIllegalDuringACaptureFailsAndInvalidatesIt) {
  Rig rig;
  cudaEvent_t event = nullptr;
  cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
  void* data = nullptr;
  struct Case {
    std::function<cudaError_t()> call;
    cudaError_t expected;
  };
  const Case cases[] = {
      {[&] { return cudaMalloc(&data, 1); }, cudaErrorStreamCaptureUnsupported},
      {[&] { return cudaFree(rig.device); }, cudaErrorStreamCaptureUnsupported},
      {[&] { return cudaHostAlloc(&data, 1, 0); }, cudaErrorStreamCaptureUnsupported},
      {[&] { return cudaStreamSynchronize(rig.stream); }, cudaErrorStreamCaptureUnsupported},
      {[&] { return cudaDeviceSynchronize(); }, cudaErrorStreamCaptureUnsupported},
      {[&] {
         cudaEventRecord(event, rig.stream);
         return cudaEventSynchronize(event);
       },
       cudaErrorCapturedEvent},
      {[&] { return cudaStreamBeginCapture(rig.stream, cudaStreamCaptureModeThreadLocal); },
       cudaErrorStreamCaptureUnsupported},
  };
  for (const Case& test : cases) {
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamBeginCapture(rig.stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    EXPECT_EQ(test.call(), test.expected);
    EXPECT_EQ(cudaMemsetAsync(rig.device, 0, 1, rig.stream), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(cudaStreamEndCapture(rig.stream, &graph), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(graph, nullptr);
    EXPECT_EQ(cudaMemsetAsync(rig.device, 0, 1, rig.stream), cudaSuccess);
  }
  cudaEventDestroy(event);
}

TEST_F(FakeCuda, AThreadLocalCaptureLetsOtherThreadsAllocate) {
  Rig rig;
  cudaGraph_t graph = nullptr;
  cudaStreamBeginCapture(rig.stream, cudaStreamCaptureModeThreadLocal);
  std::thread([] {
    void* data = nullptr;
    EXPECT_EQ(cudaMalloc(&data, 1), cudaSuccess);
    EXPECT_EQ(cudaFree(data), cudaSuccess);
  }).join();
  EXPECT_EQ(cudaStreamEndCapture(rig.stream, &graph), cudaSuccess);
  cudaGraphDestroy(graph);
}

TEST_F(FakeCuda, ACaptureMayForkButMustJoin) {
  Rig a;
  Rig b;
  cudaEvent_t fork = nullptr;
  cudaEvent_t join = nullptr;
  cudaEventCreateWithFlags(&fork, 0);
  cudaEventCreateWithFlags(&join, 0);
  for (bool joins : {false, true}) {
    cudaGraph_t graph = nullptr;
    cudaStreamBeginCapture(a.stream, cudaStreamCaptureModeThreadLocal);
    cudaMemsetAsync(a.device, 1, kBytes, a.stream);
    cudaEventRecord(fork, a.stream);
    cudaStreamWaitEvent(b.stream, fork, 0);
    EXPECT_EQ(cudaMemcpyAsync(b.device, a.device, kBytes, cudaMemcpyDeviceToDevice, b.stream),
              cudaSuccess);
    cudaEventRecord(join, b.stream);
    if (joins) cudaStreamWaitEvent(a.stream, join, 0);
    EXPECT_EQ(cudaStreamEndCapture(a.stream, &graph),
              joins ? cudaSuccess : cudaErrorStreamCaptureUnjoined);
    if (!joins) continue;
    cudaGraphExec_t executable = nullptr;
    EXPECT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
    EXPECT_EQ(cudaGraphLaunch(executable, a.stream), cudaSuccess);
    cudaGraphExecDestroy(executable);  // it may go before it has run
    cudaGraphDestroy(graph);
    cudaStreamSynchronize(a.stream);
    b.out();
    cudaStreamSynchronize(b.stream);
    EXPECT_EQ(b.pinned[kBytes - 1], 1);
  }
  cudaEventDestroy(fork);
  cudaEventDestroy(join);
}

TEST_F(FakeCuda, WaitingForUncapturedWorkInsideACaptureInvalidatesIt) {
  Rig a;
  Rig b;
  cudaEvent_t event = nullptr;
  cudaEventCreateWithFlags(&event, 0);
  cudaEventRecord(event, b.stream);
  cudaGraph_t graph = nullptr;
  cudaStreamBeginCapture(a.stream, cudaStreamCaptureModeThreadLocal);
  EXPECT_EQ(cudaStreamWaitEvent(a.stream, event, 0), cudaErrorStreamCaptureIsolation);
  EXPECT_EQ(cudaStreamEndCapture(a.stream, &graph), cudaErrorStreamCaptureInvalidated);
  cudaEventDestroy(event);
}

TEST_F(FakeCuda, CopiesThatAreWrongAreRefusedAndReported) {
  Rig rig;
  std::vector<char> host(2 * kBytes);
  auto* device = static_cast<char*>(rig.device);
  const auto copy = [&](void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
    return cudaMemcpyAsync(to, from, bytes, kind, rig.stream);
  };
  EXPECT_EQ(copy(device + 1, host.data(), kBytes, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copy(host.data(), device, kBytes + 1, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(copy(device, rig.pinned + 1, kBytes, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copy(device, host.data(), kBytes, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(copy(host.data(), host.data() + kBytes, 1, cudaMemcpyHostToDevice),
            cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemsetAsync(host.data(), 0, 1, rig.stream), cudaErrorInvalidValue);
  EXPECT_EQ(fake_cuda::violations().size(), 6u);
}

TEST_F(FakeCuda, FreedMemoryAndDestroyedHandlesAreRefusedAndReported) {
  Rig rig;
  void* data = nullptr;
  cudaMalloc(&data, kBytes);
  EXPECT_EQ(cudaFreeHost(data), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(data), cudaSuccess);
  EXPECT_EQ(cudaFree(data), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpyAsync(data, rig.pinned, 1, cudaMemcpyHostToDevice, rig.stream),
            cudaErrorInvalidValue);
  cudaStream_t stream = nullptr;
  cudaStreamCreateWithFlags(&stream, 0);
  cudaStreamDestroy(stream);
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(fake_cuda::violations().size(), 4u);
  EXPECT_EQ(cudaFree(nullptr), cudaSuccess);
}

TEST_F(FakeCuda, FreeingWaitsForTheDevice) {
  Rig rig;
  void* data = nullptr;
  cudaMalloc(&data, kBytes);
  cudaMemsetAsync(data, 5, kBytes, rig.stream);
  cudaMemcpyAsync(rig.pinned, data, kBytes, cudaMemcpyDeviceToHost, rig.stream);
  cudaFree(data);
  EXPECT_EQ(rig.pinned[0], 5);
}

TEST_F(FakeCuda, MemoryIsLimited) {
  fake_cuda::set_memory_bytes(1024);
  void* first = nullptr;
  void* second = nullptr;
  EXPECT_EQ(cudaMalloc(&first, 600), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&second, 600), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaMalloc(&second, ~size_t{0}), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  size_t free = 0;
  size_t total = 0;
  cudaMemGetInfo(&free, &total);
  EXPECT_EQ(free, 256u);
  EXPECT_EQ(total, 1024u);
  cudaFree(first);
  EXPECT_EQ(fake_cuda::counters().peak_device_bytes, 768u);
  EXPECT_EQ(fake_cuda::counters().live_device_bytes, 0u);
}

TEST_F(FakeCuda, TheChosenCallFails) {
  void* data = nullptr;
  fake_cuda::fail_call(2, cudaErrorUnknown);
  EXPECT_EQ(cudaMalloc(&data, 1), cudaSuccess);
  EXPECT_TRUE(fake_cuda::failure_is_pending());
  EXPECT_EQ(cudaFree(data), cudaErrorUnknown);  // and frees all the same
  EXPECT_FALSE(fake_cuda::failure_is_pending());
  EXPECT_THAT(fake_cuda::leaks(), IsEmpty());
  fake_cuda::fail_call_of("cudaHostAlloc", 1, cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaMalloc(&data, 1), cudaSuccess);
  EXPECT_EQ(cudaFree(data), cudaSuccess);
  EXPECT_EQ(cudaHostAlloc(&data, 1, 0), cudaErrorMemoryAllocation);
}

TEST_F(FakeCuda, AnOperationThatGoesWrongLeavesTheDeviceDead) {
  Rig rig;
  fake_cuda::fail_operation(2, cudaErrorIllegalAddress);
  rig.in();
  rig.in();
  rig.in();
  EXPECT_EQ(cudaStreamSynchronize(rig.stream), cudaErrorIllegalAddress);
  EXPECT_EQ(fake_cuda::counters().operations_run, 2);
  size_t free = 0;
  size_t total = 0;
  EXPECT_EQ(cudaMemGetInfo(&free, &total), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
}

TEST_F(FakeCuda, LeaksAreListed) {
  void* data = nullptr;
  cudaStream_t stream = nullptr;
  cudaMalloc(&data, 100);
  cudaStreamCreateWithFlags(&stream, 0);
  EXPECT_THAT(fake_cuda::leaks(), ElementsAre("100 bytes of device memory", "1 streams"));
}

TEST_F(FakeCuda, AStepThatAllocatesOrWaitsIsReported) {
  Rig rig;
  {
    const fake_cuda::InsideStep step;
    void* data = nullptr;
    rig.in();
    cudaMalloc(&data, 1);
    cudaFree(data);
    cudaStreamSynchronize(rig.stream);
  }
  EXPECT_THAT(fake_cuda::violations(),
              ElementsAre("cudaMalloc inside a step", "cudaFree inside a step",
                          "cudaStreamSynchronize inside a step"));
}

TEST_F(FakeCuda, TheLogTellsWhatRanWhere) {
  Rig rig;
  fake_cuda::set_log(true);
  rig.in();
  cudaMemsetAsync(rig.device, 0, 8, rig.stream);
  cudaStreamSynchronize(rig.stream);
  EXPECT_THAT(fake_cuda::log(), ElementsAre("stream 1: copy 256 bytes", "stream 1: fill 8 bytes"));
}

#if defined(__SANITIZE_ADDRESS__)
TEST_F(FakeCuda, TheHostCannotTouchDeviceMemory) {
  Rig rig;
  EXPECT_DEATH(static_cast<volatile char*>(rig.device)[0] = 1, "use-after-poison");
}
#endif

}  // namespace
