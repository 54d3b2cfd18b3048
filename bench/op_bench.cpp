// Single ops. Two kinds of rows:
//   op/...        the real-size cases of the tests, by every kernel that accepts them, with the
//                 bytes and flops of the op's own cost function; warm buffers
//   adam/N        Adam over N parameters
//   product/IxO   the bare matrix product (no bias, no activation) of each layer of the dense net
//                 at 4096 rows: the local limit that training and encoding are held against
//   conv/LAYER    the convolutions of preset conv at batch 256
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "bench_main.h"
#include "kernels/common/philox.h"
#include "ops/conv2d.h"
#include "ops/dense.h"
#include "ops/training.h"
#include "selftest/case.h"
#include "training_bed.h"

namespace diabolo::bench {
namespace {

// Buffers of one call, filled with random numbers: integers are small, so that any of them is a
// valid row or index.
class CallBed {
 public:
  CallBed(Backend& backend, const OpDef& op, const Attrs& attrs, const std::vector<TensorDesc>& in)
      : backend_(backend), op_(op), attrs_(attrs), stream_(backend.create_stream()) {
    const std::vector<TensorDesc> out = op.infer(attrs, in);
    for (const TensorDesc& desc : in) add(desc, in_);
    for (const TensorDesc& desc : out) add(desc, out_);
    cost_ = op.cost(attrs, in, out);
  }

  // Empty if the kernel takes the call.
  std::string refusal(const Kernel& kernel) const {
    if (!kernel.prepare) return "not in this build";
    return kernel.accepts({attrs_, in_, out_}, backend_.info());
  }

  void time(benchmark::State& state, const Kernel& kernel) {
    Call call{attrs_, in_, out_};
    const uint64_t zeroed_bytes =
        kernel.zeroed_bytes ? kernel.zeroed_bytes(call, backend_.info()) : 0;
    const Buffer zeroed(backend_, zeroed_bytes);
    if (zeroed_bytes > 0) stream_->fill(zeroed.data(), 0, zeroed_bytes);
    call.zeroed = zeroed.data();
    const Buffer scratch(backend_, kernel.scratch_bytes(call, backend_.info()));
    const kernels::Launch launch = kernel.prepare(call, backend_.info(), scratch.data());
    const bool is_host = backend_.info().space == Space::kHost;
    const int times = is_host ? 1 : 20;
    const auto run = [&] {
      stream_->submit([&](void* native) {
        for (int k = 0; k < times; ++k) launch(native);
      });
      stream_->synchronize();
    };
    run();
    for ([[maybe_unused]] auto _ : state) run();
    const auto rate = benchmark::Counter::kIsIterationInvariantRate;
    state.counters["flops"] = benchmark::Counter(cost_.flops * times, rate);
    state.counters["bytes"] = benchmark::Counter(cost_.bytes * times, rate);
  }

 private:
  void add(const TensorDesc& desc, std::vector<TensorView>& views) {
    buffers_.emplace_back(backend_, desc.bytes());
    auto* const to = buffers_.back().as<std::byte>();
    const std::vector<std::byte> bytes = random_bytes(desc);
    for (uint64_t at = 0; at < desc.bytes(); at += bytes.size())
      stream_->copy_in(to + at, bytes.data(), std::min<uint64_t>(bytes.size(), desc.bytes() - at));
    stream_->synchronize();
    views.push_back({desc, to});
  }

  // What a tensor is filled with: its first elements, which a large one repeats.
  std::vector<std::byte> random_bytes(const TensorDesc& desc) const {
    constexpr int64_t kMost = 1 << 20;
    const auto elems = static_cast<size_t>(std::min(desc.elems(), kMost));
    std::vector<std::byte> bytes(elems * size_bytes(desc.dtype()));
    for (size_t k = 0; k < elems; ++k) {
      const float value = kernels::uniform_at({buffers_.size(), 0, 0}, 0, k);
      const kernels::Bf16 low = kernels::to_bf16(value);
      if (desc.dtype() == DType::kF32) std::memcpy(&bytes[4 * k], &value, 4);
      if (desc.dtype() == DType::kBf16) std::memcpy(&bytes[2 * k], &low, 2);
    }
    return bytes;
  }

  Backend& backend_;
  const OpDef& op_;
  Attrs attrs_;
  std::unique_ptr<Stream> stream_;
  std::vector<Buffer> buffers_;
  std::vector<TensorView> in_, out_;
  Cost cost_;
};

using KeptBed = std::shared_ptr<Kept<CallBed>>;

void add_row(Backend& backend, const KeptBed& kept, const std::string& text, const OpDef& op,
             const Attrs& attrs, const std::vector<TensorDesc>& in, const Kernel& kernel) {
  benchmark::RegisterBenchmark(text.c_str(),
                               [=, &backend, &op, &kernel](benchmark::State& state) {
                                 CallBed& bed = kept->of(text, [&] {
                                   return std::make_unique<CallBed>(backend, op, attrs, in);
                                 });
                                 const std::string why_not = bed.refusal(kernel);
                                 if (!why_not.empty()) return state.SkipWithError(why_not.c_str());
                                 bed.time(state, kernel);
                               })
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}

bool may_run(const Kernel& kernel, const DeviceInfo& device, const TensorDesc& first) {
  if (kernel.space != device.space || kernel.is_reference) return false;
  return !(first.dtype() == DType::kBf16 && device.space == Space::kHost && !device.cpu.has_bf16);
}

void add_cases(Backend& backend, const KeptBed& kept) {
  for (const selftest::OpCases* cases : selftest::all_op_cases()) {
    for (const selftest::Case& made : selftest::cases_of(*cases)) {
      if (!made.is_large) continue;
      std::vector<TensorDesc> in;
      for (const selftest::Operand& operand : made.in) in.push_back(operand.desc);
      for (const Kernel& kernel : cases->op->kernels) {
        if (!may_run(kernel, backend.info(), in[0])) continue;
        CallBed probe(backend, *cases->op, made.attrs, in);
        if (!probe.refusal(kernel).empty()) continue;
        add_row(backend, kept, cat("op/", made.name, "/", kernel.name), *cases->op, made.attrs, in,
                kernel);
      }
    }
  }
}

// The layers of the dense net, each direction once.
void add_products(Backend& backend, const KeptBed& kept) {
  const std::vector<int64_t>& widths = dense_net().widths;
  const DenseForwardAttrs bare{.has_bias = false};
  for (const DType dtype : {DType::kF32, DType::kBf16}) {
    for (size_t k = 1; k < widths.size(); ++k) {
      for (const bool is_decoder : {false, true}) {
        const int64_t I = is_decoder ? widths[k] : widths[k - 1];
        const int64_t O = is_decoder ? widths[k - 1] : widths[k];
        const std::vector<TensorDesc> in = {{dtype, {4096, I}}, {dtype, {I, O}}};
        for (const Kernel& kernel : kDenseForward.kernels) {
          if (!may_run(kernel, backend.info(), in[0])) continue;
          const bool is_for_type = std::string(kernel.name).ends_with(name(dtype));
          if (!is_for_type) continue;
          add_row(backend, kept, cat("product/", I, "x", O, "/", name(dtype)), kDenseForward, bare,
                  in, kernel);
        }
      }
    }
  }
}

// The convolutions of preset conv at its batch, all that a step does with each.
struct ConvRow {
  const char* name;
  int64_t size, C, O;
  bool is_transposed;
};
constexpr ConvRow kConvRows[] = {{"28x28x1-32", 28, 1, 32, false},
                                 {"14x14x32-64", 14, 32, 64, false},
                                 {"7x7x64-32", 14, 32, 64, true},
                                 {"14x14x32-1", 28, 1, 32, true}};

void add_conv_row(Backend& backend, const KeptBed& kept, const ConvRow& row, DType dtype) {
  constexpr int64_t kBatch = 256;
  const Conv2dGeometry geometry{.stride = {2, 2},
                                .before = {1, 1},
                                .after = {1, 1},
                                .rest = {1, 1},
                                .is_transposed = row.is_transposed};
  const TensorDesc image(dtype, {kBatch, row.size, row.size, row.C});
  const TensorDesc grid(dtype, {kBatch, row.size / 2, row.size / 2, row.O});
  const TensorDesc weight(dtype, {3, 3, row.C, row.O});
  const TensorDesc& x = row.is_transposed ? grid : image;
  const TensorDesc& y = row.is_transposed ? image : grid;
  const auto relu = kernels::Activation::kRelu;
  const auto add = [&](const OpDef& op, const Attrs& attrs, const std::vector<TensorDesc>& in) {
    for (const Kernel& kernel : op.kernels)
      if (may_run(kernel, backend.info(), x) && std::string(kernel.name).ends_with(name(dtype)))
        add_row(backend, kept, cat("conv/", row.name, "/", kernel.name), op, attrs, in, kernel);
  };
  add(kConv2dForward, Conv2dForwardAttrs{.geometry = geometry, .activation = relu},
      {x, weight, TensorDesc(DType::kF32, {y.extent(3)})});
  add(kConv2dDataGrad,
      Conv2dDataGradAttrs{.geometry = geometry, .activation = relu, .has_epilogue = true},
      {y, weight, x});
  add(kConv2dWeightGrad, Conv2dWeightGradAttrs{.geometry = geometry, .kernel = {3, 3}}, {x, y});
}

void add_convolutions(Backend& backend, const KeptBed& kept) {
  for (const DType dtype : {DType::kF32, DType::kBf16})
    for (const ConvRow& row : kConvRows) add_conv_row(backend, kept, row, dtype);
}

// Adam over flat blobs: a dense net's parameters, and on a GPU as many as fill its memory's rate.
void add_adam(Backend& backend, const KeptBed& kept) {
  for (const int64_t n : {int64_t{1'100'000}, int64_t{300'000'000}}) {
    if (n > 100'000'000 && backend.info().space == Space::kHost) continue;
    const TensorDesc scalar(DType::kF32, {1});
    const std::vector<TensorDesc> in = {{DType::kF32, {n}}, step_state_desc(), scalar};
    for (const Kernel& kernel : kOptimizer.kernels) {
      if (may_run(kernel, backend.info(), in[0]))
        add_row(backend, kept, cat("adam/", n), kOptimizer, OptimizerAttrs{}, in, kernel);
    }
  }
}

void add_all(Backend& backend) {
  const auto kept = std::make_shared<Kept<CallBed>>();
  add_adam(backend, kept);
  add_products(backend, kept);
  add_convolutions(backend, kept);
  add_cases(backend, kept);
}

}  // namespace
}  // namespace diabolo::bench

int main(int argc, char** argv) {
  return diabolo::bench::run_benchmarks(argc, argv, diabolo::bench::add_all);
}
