// One product whose result has more than 2^31 elements, on a GPU: every index must be 64 bits.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/error.h"
#include "ops/dense.h"

namespace diabolo {
namespace {

constexpr int64_t kRows = (int64_t{1} << 20) + 3;
constexpr int64_t kIn = 8;
constexpr int64_t kOut = 2100;

const Kernel* kernel_named(const OpDef& op, std::string_view name) {
  for (const Kernel& kernel : op.kernels)
    if (name == kernel.name) return &kernel;
  return nullptr;
}

// The elements of row `row`, from the device.
std::vector<float> row_of(const Buffer& y, int64_t row, Stream& stream) {
  std::vector<float> out(kOut);
  stream.copy_out(out.data(), static_cast<const float*>(y.data()) + row * kOut, kOut * 4);
  stream.synchronize();
  return out;
}

TEST(Huge, ADenseLayerOnCudaWritesBeyondTwoToThe31Elements) {
  const bool is_required = std::getenv("DIABOLO_REQUIRE_CUDA") != nullptr;
  const CudaDevices found = list_cuda_devices();
  if (found.devices.empty()) {
    if (is_required) FAIL() << found.why_none;
    GTEST_SKIP() << found.why_none;
  }
  static_assert(kRows * kOut > int64_t{1} << 31);
  const auto backend = create_cuda_backend();
  constexpr uint64_t kBytes = 9'000'000'000;
  if (backend->free_bytes() < kBytes) {
    const std::string why = cat("needs 9 GB of memory; free are ", backend->free_bytes());
    if (is_required) FAIL() << why;
    GTEST_SKIP() << why;
  }
  const auto stream = backend->create_stream();
  std::vector<float> x(static_cast<size_t>(kRows * kIn));
  for (size_t k = 0; k < x.size(); ++k) x[k] = static_cast<float>(k % 61) - 30;
  std::vector<float> weight(static_cast<size_t>(kIn * kOut));
  for (size_t k = 0; k < weight.size(); ++k) weight[k] = static_cast<float>(k % 53) - 26;
  const Buffer x_device(*backend, x.size() * 4);
  const Buffer weight_device(*backend, weight.size() * 4);
  const Buffer y(*backend, static_cast<uint64_t>(kRows * kOut) * 4);
  stream->copy_in(x_device.data(), x.data(), x_device.bytes());
  stream->copy_in(weight_device.data(), weight.data(), weight_device.bytes());

  const std::vector<TensorView> in = {{{DType::kF32, {kRows, kIn}}, x_device.data()},
                                      {{DType::kF32, {kIn, kOut}}, weight_device.data()}};
  const std::vector<TensorView> out = {{{DType::kF32, {kRows, kOut}}, y.data()}};
  const Attrs attrs = DenseForwardAttrs{.has_bias = false};
  const Call call{attrs, in, out};
  const Kernel* kernel = kernel_named(kDenseForward, "cuda.dense_forward.f32");
  ASSERT_NE(kernel, nullptr);
  const Buffer scratch(*backend, kernel->scratch_bytes(call, backend->info()));
  const auto launch = kernel->prepare(call, backend->info(), scratch.data());
  stream->submit([&](void* native) { launch(native); });
  stream->synchronize();

  const int64_t edge = (int64_t{1} << 31) / kOut;
  for (const int64_t row : {int64_t{0}, edge - 1, edge, edge + 1, kRows - 2, kRows - 1}) {
    const std::vector<float> got = row_of(y, row, *stream);
    for (int64_t o = 0; o < kOut; ++o) {
      float sum = 0;  // of small integers: exact
      for (int64_t i = 0; i < kIn; ++i) sum += x[row * kIn + i] * weight[i * kOut + o];
      ASSERT_EQ(got[static_cast<size_t>(o)], sum) << "row " << row << ", column " << o;
    }
  }
}

}  // namespace
}  // namespace diabolo
