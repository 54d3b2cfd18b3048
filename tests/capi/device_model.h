// What the tests of rows in device memory share: that memory, a caller's stream, a model on the
// fake device.
#pragma once

#include <cstring>
#include <memory>

#include "capi/small_model.h"
#include "fake_cuda/fake_cuda.h"

namespace diabolo_test {

// Device memory with its content queued on a stream; the host may not look at it.
class DeviceArray {
 public:
  explicit DeviceArray(uint64_t bytes) : bytes_(bytes) {
    EXPECT_EQ(cudaMalloc(&data_, bytes), cudaSuccess);
  }
  ~DeviceArray() { (void)cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  void* data() const { return data_; }
  float* floats() const { return static_cast<float*>(data_); }
  void fill(const void* host, cudaStream_t stream) const {
    EXPECT_EQ(cudaMemcpyAsync(data_, host, bytes_, cudaMemcpyHostToDevice, stream), cudaSuccess);
  }
  void read(void* host, cudaStream_t stream) const {
    EXPECT_EQ(cudaMemcpyAsync(host, data_, bytes_, cudaMemcpyDeviceToHost, stream), cudaSuccess);
  }

 private:
  void* data_ = nullptr;
  uint64_t bytes_;
};

class CallerStream {
 public:
  CallerStream() {
    EXPECT_EQ(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), cudaSuccess);
  }
  ~CallerStream() { (void)cudaStreamDestroy(stream_); }
  CallerStream(const CallerStream&) = delete;
  CallerStream& operator=(const CallerStream&) = delete;

  operator cudaStream_t() const { return stream_; }
  void wait() const { EXPECT_EQ(cudaStreamSynchronize(stream_), cudaSuccess); }

 private:
  cudaStream_t stream_ = nullptr;
};

// The model on the fake device.
class Loaded {
 public:
  explicit Loaded(const std::string& path, diabolo_precision precision = DIABOLO_PRECISION_F32,
                  const char* device = "cuda:0") {
    auto options = sized<diabolo_context_options>();
    options.device = device;
    options.precision = precision;
    EXPECT_EQ(diabolo_context_create(&options, &context_), DIABOLO_OK) << diabolo_last_error();
    EXPECT_EQ(diabolo_model_load(context_, path.c_str(), nullptr, &model_), DIABOLO_OK)
        << diabolo_last_error();
  }
  ~Loaded() {
    EXPECT_EQ(diabolo_model_destroy(model_), DIABOLO_OK);
    EXPECT_EQ(diabolo_context_destroy(context_), DIABOLO_OK);
  }
  Loaded(const Loaded&) = delete;
  Loaded& operator=(const Loaded&) = delete;

  const diabolo_model* get() const { return model_; }
  std::vector<float> codes(const diabolo_rows& rows) const {
    std::vector<float> out(rows.count * kCodeSize);
    EXPECT_EQ(diabolo_encode(model_, &rows, out.data(), out.size()), DIABOLO_OK);
    return out;
  }

 private:
  diabolo_context* context_ = nullptr;
  diabolo_model* model_ = nullptr;
};

class DeviceRows : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder = std::make_unique<Folder>();
    path = folder->file("model.safetensors");
    diabolo_context* context = cpu_context();
    diabolo_model* model = train_small(context);
    ASSERT_EQ(diabolo_model_save(model, path.c_str()), DIABOLO_OK);
    ASSERT_EQ(diabolo_model_destroy(model), DIABOLO_OK);
    ASSERT_EQ(diabolo_context_destroy(context), DIABOLO_OK);
  }
  static void TearDownTestSuite() { folder.reset(); }

  DeviceRows() { fake_cuda::reset(); }
  ~DeviceRows() override { fake_cuda::reset(); }

  static void expect_clean() {
    EXPECT_TRUE(fake_cuda::violations().empty()) << fake_cuda::violations().front();
    EXPECT_TRUE(fake_cuda::leaks().empty()) << fake_cuda::leaks().front();
  }
  static void expect(diabolo_status wanted, const char* part, diabolo_status found) {
    EXPECT_EQ(found, wanted) << diabolo_last_error();
    EXPECT_NE(std::strstr(diabolo_last_error(), part), nullptr) << diabolo_last_error();
  }
  static diabolo_rows on_device(const diabolo_rows& rows, const DeviceArray& memory) {
    diabolo_rows out = rows;
    out.data = memory.data();
    return out;
  }

  static inline std::unique_ptr<Folder> folder;
  static inline std::string path;
};

inline uint64_t bytes_of(const diabolo_rows& rows) {
  return rows.count * kFeatures * (rows.dtype == DIABOLO_U8 ? 1 : sizeof(float));
}

}  // namespace diabolo_test
