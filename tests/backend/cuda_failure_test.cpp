// The CUDA backend when things go wrong: drivers, memory, launches, captures, and every single
// call.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "backend/backend.h"
#include "backend/cuda/cuda_devices.h"
#include "backend/small_kernels.h"
#include "base/error.h"
#include "fake_cuda/fake_cuda.h"

namespace diabolo {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr int64_t kCount = 100;
constexpr uint64_t kBytes = kCount * sizeof(float);

// The message of the Error that `act` throws, which must have `code` and be one line.
std::string message_of(ErrorCode code, const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

class CudaFailure : public testing::Test {
 protected:
  CudaFailure() { fake_cuda::reset(); }
  ~CudaFailure() override {
    EXPECT_THAT(fake_cuda::leaks(), IsEmpty());
    fake_cuda::reset();
  }
};

TEST_F(CudaFailure, ADriverThatIsMissingOldOrEmptyIsExplained) {
  struct Case {
    int driver_version;
    cudaError_t status;
    const char* says;
  };
  const Case cases[] = {
      {0, cudaErrorInsufficientDriver, "no NVIDIA driver was found; install it"},
      {12020, cudaErrorInsufficientDriver, "too old: it supports CUDA 12.2, this build needs 13.0"},
      {13000, cudaErrorNoDevice, "finds no CUDA device"},
      {13000, cudaErrorStubLibrary, "stub"},
      {13000, cudaErrorInitializationError, "does not start: cudaGetDeviceCount"},
  };
  for (const Case& test : cases) {
    fake_cuda::Description description;
    description.driver_version = test.driver_version;
    description.count_status = test.status;
    description.count = 0;
    fake_cuda::describe(description);
    const CudaDevices list = list_cuda_devices();
    EXPECT_THAT(list.devices, IsEmpty());
    EXPECT_THAT(list.why_none, HasSubstr(test.says));
    const auto create = [] { create_cuda_backend(); };
    EXPECT_EQ(message_of(ErrorCode::kDevice, create), list.why_none);
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  }
}

TEST_F(CudaFailure, ADeviceThatIsTooOldOrNotBuiltForIsRefused) {
  fake_cuda::Description description;
  description.arch = 75;
  fake_cuda::describe(description);
  const auto create = [] { create_cuda_backend(); };
  EXPECT_THAT(message_of(ErrorCode::kDevice, create),
              AllOf(HasSubstr("Fake GPU 0"), HasSubstr("7.5"), HasSubstr("8.0 or newer")));
  EXPECT_THAT(list_cuda_devices().why_none, HasSubstr("7.5"));
}

TEST_F(CudaFailure, ADeviceThatDoesNotExistIsRefused) {
  for (int index : {-1, 1}) {
    const auto create = [&] { create_cuda_backend(index); };
    EXPECT_THAT(message_of(ErrorCode::kDevice, create), HasSubstr("expected 0 to 0"));
  }
}

TEST(CudaArchitectures, RunWhereTheProgrammingGuideSaysTheyDo) {
  using cuda::runs_on;
  EXPECT_TRUE(runs_on("80-real", 80));
  EXPECT_TRUE(runs_on("80-real", 86));   // same major, higher minor
  EXPECT_FALSE(runs_on("86-real", 80));  // lower minor
  EXPECT_FALSE(runs_on("80-real", 90));
  EXPECT_TRUE(runs_on("90a-real", 90));
  EXPECT_FALSE(runs_on("90a-real", 100));
  EXPECT_FALSE(runs_on("100a-real", 103));
  EXPECT_TRUE(runs_on("80-virtual", 120));
  EXPECT_FALSE(runs_on("90-virtual", 89));
  EXPECT_TRUE(runs_on("80", 120));
  EXPECT_TRUE(runs_on("90a-real,80-virtual", 75 + 11));
  EXPECT_FALSE(runs_on("90a-real;120-real", 80));
  EXPECT_FALSE(runs_on("", 80));
}

TEST_F(CudaFailure, MemoryThatDoesNotFitIsAnErrorWithBothSizes) {
  const auto backend = create_cuda_backend();
  fake_cuda::set_memory_bytes(1 << 20);
  const Buffer held(*backend, 1 << 19);
  const auto allocate = [&] { backend->allocate((1 << 19) + 1); };
  EXPECT_THAT(message_of(ErrorCode::kResource, allocate),
              AllOf(HasSubstr("Fake GPU 0"), HasSubstr("wanted 524289 bytes"),
                    HasSubstr("free 524288 bytes")));
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  const Buffer fits(*backend, 1 << 19);  // and nothing is broken
  EXPECT_EQ(backend->free_bytes(), 0u);
}

TEST_F(CudaFailure, StagingThatDoesNotFitIsAnErrorWithBothSizes) {
  const auto backend = create_cuda_backend();
  const auto absurd = [&] { backend->allocate_staging(uint64_t{1} << 60); };
  EXPECT_THAT(message_of(ErrorCode::kResource, absurd), HasSubstr("wanted 1152921504606846976"));
  fake_cuda::fail_call_of("cudaHostAlloc", 1, cudaErrorMemoryAllocation);
  const auto refused = [&] { backend->allocate_staging(100); };
  EXPECT_THAT(message_of(ErrorCode::kResource, refused), HasSubstr("wanted 100 bytes"));
}

TEST_F(CudaFailure, ALaunchThatFailsIsRethrownOnceAndLaterWorkDropped) {
  const auto backend = create_cuda_backend();
  const auto stream = backend->create_stream();
  const Buffer buffer(*backend, kBytes);
  fake_cuda::fail_call_of("cudaLaunchKernel", 1, cudaErrorLaunchOutOfResources);
  const auto launch = [&](void* native) {
    launch_affine(static_cast<float*>(buffer.data()), kCount, 1, 1, native);
  };
  stream->submit(launch);
  const auto event = stream->record_event();
  stream->submit(launch);
  EXPECT_THAT(message_of(ErrorCode::kDevice, [&] { event->wait(); }),
              HasSubstr("too many resources requested"));
  EXPECT_NO_THROW(stream->synchronize());
  EXPECT_EQ(fake_cuda::counters().operations_run, 0);
  stream->submit(launch);
  stream->synchronize();
  EXPECT_EQ(fake_cuda::counters().operations_run, 1);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST_F(CudaFailure, WhatWaitsForAFailedLaunchFailsToo) {
  const auto backend = create_cuda_backend();
  const auto first = backend->create_stream();
  const auto second = backend->create_stream();
  const Buffer buffer(*backend, kBytes);
  first->submit([](void*) { throw Error(ErrorCode::kDiverged, "planted"); });
  second->wait_for(*first->record_event());
  second->fill(buffer.data(), 0, kBytes);
  EXPECT_EQ(message_of(ErrorCode::kDiverged, [&] { second->synchronize(); }), "planted");
  EXPECT_EQ(fake_cuda::counters().operations_run, 0);
  EXPECT_THROW(first->synchronize(), Error);
}

TEST_F(CudaFailure, ALaunchThatNoDeviceTakesIsReported) {
  const auto backend = create_cuda_backend();
  const auto stream = backend->create_stream();
  stream->submit(launch_too_large);
  try {
    stream->synchronize();
    FAIL();
  } catch (const std::exception& error) {
    EXPECT_THAT(error.what(), HasSubstr("4096 threads"));
  }
}

TEST_F(CudaFailure, ACaptureThatFailsIsDiscardedAndTheStreamStaysUsable) {
  const auto backend = create_cuda_backend();
  const auto stream = backend->create_stream();
  const Buffer buffer(*backend, kBytes);
  const auto launch = [&](void* native) {
    launch_affine(static_cast<float*>(buffer.data()), kCount, 1, 1, native);
  };
  const std::function<void(void*)> broken[] = {
      [&](void* native) { launch(native), Buffer(*backend, 1); },  // allocates
      [&](void*) { stream->synchronize(); },
      [&](void*) { stream->record_event()->wait(); },
      [&](void* native) {
        launch(native);
        throw Error(ErrorCode::kDevice, "planted");
      },
      [&](void* native) {
        fake_cuda::fail_call_of("cudaLaunchKernel", 1, cudaErrorLaunchOutOfResources);
        launch(native);
      },
      [&](void* native) {
        try {
          Buffer(*backend, 1);
        } catch (const Error&) {  // swallowed: the capture is invalid all the same
        }
        launch(native);
      },
  };
  for (const auto& launches : broken) {
    message_of(ErrorCode::kDevice, [&] { backend->record(*stream, launches); });
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    const auto before = fake_cuda::counters().operations_run;
    backend->record(*stream, launch)->launch(*stream);
    stream->synchronize();
    EXPECT_EQ(fake_cuda::counters().operations_run, before + 2);  // the graph and its kernel
  }
}

TEST_F(CudaFailure, ADeadDeviceSaysSoAndEverythingIsStillGivenBack) {
  const auto backend = create_cuda_backend();
  const auto stream = backend->create_stream();
  const Buffer buffer(*backend, kBytes);
  fake_cuda::fail_operation(1, cudaErrorIllegalAddress);
  stream->fill(buffer.data(), 0, kBytes);
  EXPECT_THAT(message_of(ErrorCode::kDevice, [&] { stream->synchronize(); }),
              AllOf(HasSubstr("illegal memory access"), HasSubstr("start it again")));
}

// Everything that a backend is used for, once.
void use_everything() {
  const auto backend = create_cuda_backend();
  const auto stream = backend->create_stream();
  const auto other = backend->create_stream();
  const Buffer buffer(*backend, kBytes), second(*backend, kBytes);
  const StagingBuffer staging(*backend, kBytes);
  const auto launch = [&](void* native) {
    launch_affine(static_cast<float*>(buffer.data()), kCount, 1, 1, native);
  };
  stream->copy_in(buffer.data(), staging.data(), kBytes);
  stream->submit(launch);
  const auto event = stream->record_event();
  other->wait_for(*event);
  other->copy_within(second.data(), buffer.data(), kBytes);
  const auto replay = backend->record(*stream, launch);
  replay->launch(*stream);
  event->wait();
  (void)event->is_done();
  stream->fill(buffer.data(), 0, kBytes);
  stream->copy_out(staging.data(), buffer.data(), kBytes);
  stream->synchronize();
  other->synchronize();
  (void)backend->free_bytes();
}

// Calls whose errors nobody can be told, since they come from destructors, may go unnoticed; all
// others must arrive as an Error. Nothing may be left behind either way.
void fail_every(cudaError_t error, void (*fail)(int64_t k, cudaError_t error)) {
  for (int64_t k = 1; k < 1000; ++k) {
    fake_cuda::reset(static_cast<uint64_t>(k % 3));
    fail(k, error);
    bool failed = false;
    try {
      use_everything();
    } catch (const Error& caught) {
      failed = true;
      EXPECT_THAT(std::string(caught.what()), Not(IsEmpty()));
    }
    EXPECT_THAT(fake_cuda::leaks(), IsEmpty()) << "k = " << k;
    EXPECT_THAT(fake_cuda::violations(), IsEmpty()) << "k = " << k;
    if (fake_cuda::failure_is_pending()) {
      EXPECT_FALSE(failed);
      EXPECT_GT(k, 5);
      return;
    }
  }
  FAIL() << "the sequence does not end";
}

TEST_F(CudaFailure, EachCallMayFailAndNothingIsLeftBehind) {
  fail_every(cudaErrorUnknown, fake_cuda::fail_call);
}

TEST_F(CudaFailure, EachCallMayRunOutOfMemoryAndNothingIsLeftBehind) {
  fail_every(cudaErrorMemoryAllocation, fake_cuda::fail_call);
}

TEST_F(CudaFailure, TheDeviceMayDieAtEachCallAndNothingIsLeftBehind) {
  fail_every(cudaErrorIllegalAddress, fake_cuda::fail_call);
}

TEST_F(CudaFailure, TheDeviceMayDieAtEachOperationAndNothingIsLeftBehind) {
  fail_every(cudaErrorLaunchFailure, fake_cuda::fail_operation);
}

}  // namespace
}  // namespace diabolo
