// What the tests of the fake device itself share.
#pragma once

#include <gtest/gtest.h>

#include "fake_cuda/fake_cuda.h"

namespace fake_cuda_test {

inline constexpr size_t kBytes = 256;

// A stream, device memory and pinned memory.
struct Rig {
  cudaStream_t stream = nullptr;
  void* device = nullptr;
  char* pinned = nullptr;

  Rig() {
    EXPECT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
    EXPECT_EQ(cudaMalloc(&device, kBytes), cudaSuccess);
    void* data = nullptr;
    EXPECT_EQ(cudaHostAlloc(&data, kBytes, 0), cudaSuccess);
    pinned = static_cast<char*>(data);
  }
  ~Rig() {
    cudaFree(device);
    cudaFreeHost(pinned);
    cudaStreamDestroy(stream);
  }
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  void in() const {
    EXPECT_EQ(cudaMemcpyAsync(device, pinned, kBytes, cudaMemcpyHostToDevice, stream), cudaSuccess);
  }
  void out() const {
    EXPECT_EQ(cudaMemcpyAsync(pinned, device, kBytes, cudaMemcpyDeviceToHost, stream), cudaSuccess);
  }
};

class FakeCuda : public testing::Test {
 protected:
  FakeCuda() { fake_cuda::reset(); }
  ~FakeCuda() override { fake_cuda::reset(); }
};

}  // namespace fake_cuda_test
