// Rows in device or managed memory on a default stream of the caller's.
#include "capi/device_model.h"

namespace diabolo_test {
namespace {

constexpr uint64_t kCount = 9;

class DefaultStreamRows : public DeviceRows {
 protected:
  DefaultStreamRows() { fake_cuda::allow_default_streams(); }

  static diabolo_status encode(const Loaded& model, const void* rows, void* codes, void* stream) {
    diabolo_rows in = diabolo_rows_f32(nullptr, kCount, kFeatures);
    in.data = rows;
    return diabolo_encode_device(model.get(), &in, codes, DIABOLO_F32, kCount * kCodeSize, stream);
  }

  const std::vector<float> values_ = wave_rows(kCount);
};

// Copies in, encodes and copies out on one stream again and again; only that stream keeps the
// order.
TEST_F(DefaultStreamRows, AreInOrderWithWhatTheCallerQueuesThere) {
  for (uint64_t seed = 0; seed < 8; ++seed) {
    for (const cudaStream_t stream : {cudaStream_t{}, cudaStreamLegacy, cudaStreamPerThread}) {
      fake_cuda::reset(seed);
      fake_cuda::allow_default_streams();
      {
        const Loaded model(path);
        const std::vector<float> expected = model.codes(view(values_));
        const DeviceArray in(values_.size() * sizeof(float));
        const DeviceArray out(kCount * kCodeSize * sizeof(float));
        for (int turn = 0; turn < 4; ++turn) {
          std::vector<float> found(expected.size());
          in.fill(values_.data(), stream);
          EXPECT_EQ(encode(model, in.data(), out.data(), stream), DIABOLO_OK)
              << diabolo_last_error();
          out.read(found.data(), stream);
          EXPECT_EQ(cudaMemsetAsync(in.data(), 0xFF, sizeof(float), stream), cudaSuccess);
          EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
          EXPECT_EQ(found, expected) << "seed " << seed << ", turn " << turn;
        }
      }
      expect_clean();
    }
  }
}

TEST_F(DefaultStreamRows, AreRefusedWhileABlockingStreamIsCaptured) {
  {
    const Loaded model(path);
    const DeviceArray in(values_.size() * sizeof(float));
    const DeviceArray out(kCount * kCodeSize * sizeof(float));
    in.fill(values_.data(), nullptr);
    cudaStream_t blocking = nullptr;
    ASSERT_EQ(cudaStreamCreateWithFlags(&blocking, cudaStreamDefault), cudaSuccess);
    cudaGraph_t graph = nullptr;
    ASSERT_EQ(cudaStreamBeginCapture(blocking, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    expect(DIABOLO_USAGE, "stream: it is being captured",
           encode(model, in.data(), out.data(), nullptr));
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    EXPECT_EQ(cudaStreamEndCapture(blocking, &graph), cudaSuccess);  // which is unharmed
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    EXPECT_EQ(encode(model, in.data(), out.data(), nullptr), DIABOLO_OK) << diabolo_last_error();
    EXPECT_EQ(cudaStreamDestroy(blocking), cudaSuccess);
  }
  expect_clean();
}

TEST_F(DefaultStreamRows, MayBeInManagedMemory) {
  {
    const Loaded model(path);
    void* rows = nullptr;
    void* codes = nullptr;
    ASSERT_EQ(cudaMallocManaged(&rows, values_.size() * sizeof(float), cudaMemAttachGlobal),
              cudaSuccess);
    ASSERT_EQ(cudaMallocManaged(&codes, kCount * kCodeSize * sizeof(float), cudaMemAttachGlobal),
              cudaSuccess);
    std::memcpy(rows, values_.data(), values_.size() * sizeof(float));
    EXPECT_EQ(encode(model, rows, codes, nullptr), DIABOLO_OK) << diabolo_last_error();
    EXPECT_EQ(cudaStreamSynchronize(nullptr), cudaSuccess);
    const auto* found = static_cast<const float*>(codes);
    EXPECT_EQ(std::vector<float>(found, found + kCount * kCodeSize), model.codes(view(values_)));
    EXPECT_EQ(cudaFree(rows), cudaSuccess);
    EXPECT_EQ(cudaFree(codes), cudaSuccess);
  }
  expect_clean();
}

}  // namespace
}  // namespace diabolo_test
