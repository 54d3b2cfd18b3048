// The default streams and managed memory of the fake device.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "fake_cuda/rig.h"

namespace {

using fake_cuda_test::FakeCuda;
using fake_cuda_test::kBytes;
using fake_cuda_test::Rig;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(FakeCuda, ADefaultStreamIsReportedUnlessTheTestAllowsIt) {
  Rig rig;
  EXPECT_EQ(cudaMemsetAsync(rig.device, 1, kBytes, nullptr), cudaSuccess);
  EXPECT_THAT(fake_cuda::violations(), ElementsAre("cudaMemsetAsync: on a default stream"));
}

// What `later` reads of memory that `earlier` filled, without an event between them.
char read_without_event(cudaStream_t earlier, cudaStream_t later, const Rig& rig) {
  cudaMemsetAsync(rig.device, 0, kBytes, earlier);
  cudaDeviceSynchronize();
  cudaMemsetAsync(rig.device, 9, kBytes, earlier);
  cudaMemcpyAsync(rig.pinned, rig.device, kBytes, cudaMemcpyDeviceToHost, later);
  cudaStreamSynchronize(later);
  const char found = rig.pinned[0];
  cudaDeviceSynchronize();
  return found;
}

TEST_F(FakeCuda, TheDefaultStreamWaitsForBlockingOnesAndTheyForIt) {
  Rig rig;
  fake_cuda::allow_default_streams();
  cudaStream_t blocking = nullptr;
  cudaStreamCreateWithFlags(&blocking, cudaStreamDefault);
  for (const cudaStream_t stream : {blocking, cudaStreamPerThread}) {
    EXPECT_EQ(read_without_event(nullptr, stream, rig), 9);
    EXPECT_EQ(read_without_event(stream, cudaStreamLegacy, rig), 9);
  }
  EXPECT_EQ(read_without_event(nullptr, rig.stream, rig), 0);
  EXPECT_EQ(read_without_event(rig.stream, nullptr, rig), 0);
  EXPECT_EQ(cudaStreamDestroy(nullptr), cudaErrorInvalidResourceHandle);
  cudaStreamDestroy(blocking);
  EXPECT_THAT(fake_cuda::violations(), IsEmpty());
}

TEST_F(FakeCuda, TheDefaultStreamMayNotBeUsedWhileABlockingOneIsCaptured) {
  Rig rig;
  fake_cuda::allow_default_streams();
  cudaStream_t blocking = nullptr;
  cudaStreamCreateWithFlags(&blocking, cudaStreamDefault);
  cudaGraph_t graph = nullptr;
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  for (const cudaStream_t stream : {rig.stream, blocking}) {
    const bool is_blocking = stream == blocking;
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed);
    EXPECT_EQ(cudaStreamIsCapturing(nullptr, &status),
              is_blocking ? cudaErrorStreamCaptureImplicit : cudaSuccess);
    EXPECT_EQ(cudaMemsetAsync(rig.device, 1, 1, stream), cudaSuccess);  // asking did no harm
    EXPECT_EQ(cudaMemsetAsync(rig.device, 1, 1, nullptr),
              is_blocking ? cudaErrorStreamCaptureImplicit : cudaSuccess);
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph),
              is_blocking ? cudaErrorStreamCaptureInvalidated : cudaSuccess);
    if (graph) cudaGraphDestroy(graph);
  }
  EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeRelaxed),
            cudaErrorStreamCaptureUnsupported);
  cudaStreamDestroy(blocking);
}

TEST_F(FakeCuda, ManagedMemoryIsTheDevicesAndTheHosts) {
  Rig rig;
  void* managed = nullptr;
  EXPECT_EQ(cudaMallocManaged(&managed, kBytes, cudaMemAttachGlobal), cudaSuccess);
  cudaPointerAttributes is{};
  EXPECT_EQ(cudaPointerGetAttributes(&is, managed), cudaSuccess);
  EXPECT_EQ(is.type, cudaMemoryTypeManaged);
  std::memset(managed, 4, kBytes);
  const auto copy = [&](void* to, const void* from, cudaMemcpyKind kind) {
    EXPECT_EQ(cudaMemcpyAsync(to, from, kBytes, kind, rig.stream), cudaSuccess);
  };
  copy(rig.device, managed, cudaMemcpyDeviceToDevice);
  copy(managed, rig.device, cudaMemcpyDeviceToHost);
  copy(rig.pinned, managed, cudaMemcpyDeviceToHost);
  cudaStreamSynchronize(rig.stream);
  EXPECT_EQ(rig.pinned[kBytes - 1], 4);
  EXPECT_EQ(cudaFree(managed), cudaSuccess);
  EXPECT_THAT(fake_cuda::violations(), IsEmpty());
}

}  // namespace
