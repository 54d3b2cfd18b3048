// The CUDA backend on the fake device, under several seeds of lateness.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <thread>

#include "backend/backend.h"
#include "backend/small_kernels.h"
#include "base/error.h"
#include "fake_cuda/fake_cuda.h"

namespace diabolo {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kCount = 100;
constexpr uint64_t kBytes = kCount * sizeof(float);

class CudaBackend : public testing::TestWithParam<uint64_t> {
 protected:
  CudaBackend() { start(GetParam()); }

  ~CudaBackend() override {
    stream_.reset();
    backend_.reset();
    EXPECT_THAT(fake_cuda::violations(), IsEmpty());
    EXPECT_THAT(fake_cuda::leaks(), IsEmpty());
    fake_cuda::reset();
  }

  void start(uint64_t seed, const fake_cuda::Description& description = {}) {
    stream_.reset();
    backend_.reset();
    fake_cuda::reset(seed);
    fake_cuda::describe(description);
    backend_ = create_cuda_backend(description.count - 1);
    stream_ = backend_->create_stream();
  }

  void fill(const Buffer& buffer, float value) {
    StagingBuffer staging(*backend_, kBytes);
    std::fill_n(staging.as<float>(), kCount, value);
    stream_->copy_in(buffer.data(), staging.data(), kBytes);
    stream_->synchronize();
  }

  std::vector<float> values_of(const Buffer& buffer) {
    StagingBuffer staging(*backend_, kBytes);
    stream_->copy_out(staging.data(), buffer.data(), kBytes);
    stream_->synchronize();
    return {staging.as<float>(), staging.as<float>() + kCount};
  }

  static auto affine(const Buffer& buffer, float factor, float offset) {
    return [data = static_cast<float*>(buffer.data()), factor, offset](void* native) {
      launch_affine(data, kCount, factor, offset, native);
    };
  }

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Stream> stream_;
};

TEST_P(CudaBackend, DescribesTheDevice) {
  const DeviceInfo& info = backend_->info();
  EXPECT_EQ(info.space, Space::kCuda);
  EXPECT_EQ(info.name, "Fake GPU 0");
  EXPECT_EQ(info.cuda.arch, 86);
  EXPECT_EQ(info.cuda.shared_bytes_per_block, 99 * 1024);
  EXPECT_EQ(info.memory_bytes, uint64_t{1} << 30);
}

TEST_P(CudaBackend, CopiesFillsAndKernelsKeepTheirOrder) {
  Buffer a(*backend_, kBytes), b(*backend_, kBytes);
  fill(a, 1);
  stream_->submit(affine(a, 2, 1));
  stream_->copy_within(b.data(), a.data(), kBytes);
  stream_->submit(affine(a, 10, 0));
  stream_->submit(affine(b, 1, 5));
  stream_->fill(a.data(), 0, kBytes / 2);
  EXPECT_THAT(values_of(b), Each(8));
  EXPECT_EQ(values_of(a)[kCount / 2 - 1], 0);
  EXPECT_EQ(values_of(a)[kCount / 2], 30);
}

TEST_P(CudaBackend, CopiesFromAndToOrdinaryMemory) {
  Buffer buffer(*backend_, kBytes);
  std::vector<float> in(kCount), out(kCount);
  std::iota(in.begin(), in.end(), 0.0f);
  stream_->copy_in(buffer.data(), in.data(), kBytes);
  stream_->copy_out(out.data(), buffer.data(), kBytes);
  stream_->synchronize();
  EXPECT_EQ(in, out);
}

TEST_P(CudaBackend, EventsOrderStreams) {
  const auto copies = backend_->create_stream();
  Buffer slot(*backend_, kBytes), sum(*backend_, kBytes);
  StagingBuffer staging(*backend_, kBytes);
  fill(sum, 0);
  std::unique_ptr<Event> is_free;
  for (int round = 1; round <= 5; ++round) {
    if (is_free) is_free->wait();
    std::fill_n(staging.as<float>(), kCount, static_cast<float>(round));
    copies->copy_in(slot.data(), staging.data(), kBytes);
    stream_->wait_for(*copies->record_event());
    stream_->copy_within(sum.data(), slot.data(), kBytes);
    stream_->submit(affine(sum, 1, 0.5f));
    is_free = stream_->record_event();
    copies->wait_for(*is_free);
  }
  EXPECT_THAT(values_of(sum), Each(5.5f));
  EXPECT_TRUE(is_free->is_done());
}

TEST_P(CudaBackend, PollingAnEventGetsThere) {
  Buffer buffer(*backend_, kBytes);
  stream_->fill(buffer.data(), 0, kBytes);
  stream_->submit(affine(buffer, 1, 1));
  const auto event = stream_->record_event();
  int polls = 0;
  while (!event->is_done() && polls < 100) ++polls;
  EXPECT_LT(polls, 100);
}

TEST_P(CudaBackend, AReplayDoesWhatTheLaunchesDid) {
  Buffer direct(*backend_, kBytes), replayed(*backend_, kBytes);
  fill(direct, 1);
  fill(replayed, 1);
  const auto step = [&](const Buffer& buffer) {
    return [&, this](void* native) {
      affine(buffer, 1.5f, 0.25f)(native);
      affine(buffer, -1, 3)(native);
    };
  };
  for (int i = 0; i < 6; ++i) stream_->submit(step(direct));
  const auto before = fake_cuda::counters().operations_run;
  const auto one = backend_->record(*stream_, step(replayed));
  const auto two = backend_->record(*stream_, [&](void* native) {
    step(replayed)(native);
    step(replayed)(native);
  });
  EXPECT_EQ(fake_cuda::counters().operations_run, before);
  two->launch(*stream_);
  one->launch(*stream_);
  two->launch(*stream_);
  one->launch(*stream_);
  EXPECT_EQ(values_of(replayed), values_of(direct));
}

TEST_P(CudaBackend, AReplayMayGoBeforeItHasRun) {
  Buffer buffer(*backend_, kBytes);
  fill(buffer, 1);
  backend_->record(*stream_, affine(buffer, 3, 0))->launch(*stream_);
  EXPECT_THAT(values_of(buffer), Each(3));
}

TEST_P(CudaBackend, ALaunchOfAReplayAllocatesNothingAndWaitsForNothing) {
  Buffer buffer(*backend_, kBytes);
  fill(buffer, 1);
  const auto replay = backend_->record(*stream_, affine(buffer, 1, 1));
  {
    const fake_cuda::InsideStep step;
    for (int i = 0; i < 10; ++i) replay->launch(*stream_);
  }
  EXPECT_THAT(values_of(buffer), Each(11));
}

TEST_P(CudaBackend, OtherThreadsMayAllocateWhileAStepIsRecorded) {
  Buffer buffer(*backend_, kBytes);
  const auto replay = backend_->record(*stream_, [&](void* native) {
    std::thread([&] { Buffer other(*backend_, kBytes); }).join();
    affine(buffer, 1, 1)(native);
  });
  EXPECT_TRUE(replay);
}

TEST_P(CudaBackend, TheCallersDeviceIsLeftAsItWas) {
  fake_cuda::Description two_devices;
  two_devices.count = 2;
  start(GetParam(), two_devices);
  EXPECT_EQ(backend_->info().index, 1);
  int device = -1;
  Buffer buffer(*backend_, kBytes);
  fill(buffer, 1);
  stream_->submit(affine(buffer, 2, 0));  // a launch on another device than the current one fails
  backend_->record(*stream_, affine(buffer, 2, 0))->launch(*stream_);
  stream_->record_event()->wait();
  EXPECT_THAT(values_of(buffer), Each(4));
  EXPECT_EQ(cudaGetDevice(&device), cudaSuccess);
  EXPECT_EQ(device, 0);
}

TEST_P(CudaBackend, ZeroBytesAreNothing) {
  EXPECT_EQ(backend_->allocate(0), nullptr);
  EXPECT_EQ(backend_->allocate_staging(0), nullptr);
  stream_->copy_in(nullptr, nullptr, 0);
  stream_->fill(nullptr, 0, 0);
  stream_->synchronize();
}

INSTANTIATE_TEST_SUITE_P(, CudaBackend, testing::Range(uint64_t{0}, uint64_t{12}));

// The point of the lateness: the same code with a wait left out gives wrong results.
TEST(CudaBackendLateness, AMissingWaitIsFound) {
  int found = 0;
  for (uint64_t seed = 0; seed < 30; ++seed) {
    fake_cuda::reset(seed);
    const auto backend = create_cuda_backend();
    const auto copies = backend->create_stream();
    const auto compute = backend->create_stream();
    const Buffer slot(*backend, kBytes), result(*backend, kBytes);
    const StagingBuffer in(*backend, kBytes), out(*backend, kBytes);
    std::fill_n(in.as<float>(), kCount, 7.0f);
    copies->copy_in(slot.data(), in.data(), kBytes);
    compute->copy_within(result.data(), slot.data(), kBytes);  // without wait_for
    compute->copy_out(out.data(), result.data(), kBytes);
    copies->synchronize();
    compute->synchronize();
    if (out.as<float>()[0] != 7.0f) ++found;
  }
  EXPECT_GE(found, 3);
  fake_cuda::reset();
}

}  // namespace
}  // namespace diabolo
