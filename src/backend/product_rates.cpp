#include "backend/product_rates.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/error.h"
#include "base/seconds.h"
#include "kernels/dense.h"

namespace diabolo {
namespace {

using kernels::Bf16;

constexpr kernels::DenseShape kLayer{256, 512, 512, false};
constexpr double kFlops = 3 * 2.0 * kLayer.B * kLayer.I * kLayer.O;

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// The three products of the layer, ready.
template <class T>
class LayerProducts {
 public:
  explicit LayerProducts(Backend& host) : host_(host) {
    T* const x = values<T>(kLayer.B * kLayer.I);
    T* const weight = values<T>(kLayer.I * kLayer.O);
    T* const y = values<T>(kLayer.B * kLayer.O);
    T* const dz = values<T>(kLayer.B * kLayer.O);
    add(kernels::DenseForward<T>{.shape = kLayer, .x = x, .weight = weight, .y = y});
    add(kernels::DenseDataGrad<T>{
        .shape = kLayer, .dz = dz, .weight = weight, .dx = values<T>(kLayer.B * kLayer.I)});
    add(kernels::DenseWeightGrad<T>{
        .shape = kLayer, .x = x, .dz = dz, .d_weight = values<float>(kLayer.I * kLayer.O)});
  }

  double seconds() const {
    const Clock::time_point start = Clock::now();
    for (const kernels::Launch& launch : launches_) launch(nullptr);
    return seconds_since(start);
  }

 private:
  void* memory(uint64_t bytes) { return buffers_.emplace_back(host_, bytes).data(); }

  template <class Value>
  Value* values(int64_t count) {
    auto* const data = static_cast<Value*>(memory(static_cast<uint64_t>(count) * sizeof(Value)));
    std::fill_n(data, count, kernels::narrow<Value>(0.5f));
    return data;
  }

  template <class Call>
  void add(const Call& call) {
    const kernels::cpu::CpuFeatures& cpu = host_.info().cpu;
    launches_.push_back(prepare(call, cpu, memory(scratch_bytes(call, cpu))));
  }

  Backend& host_;
  std::vector<Buffer> buffers_;
  std::vector<kernels::Launch> launches_;
};

// A CPU may have the products that this build has no kernel for: without oneDNN there is none.
bool has_bf16_kernels(const kernels::cpu::CpuFeatures& cpu) {
  return cpu.has_bf16 && refusal(kernels::DenseForward<Bf16>{.shape = kLayer}, cpu) == nullptr;
}

}  // namespace

ProductRates measure_products(Backend& host, double seconds) {
  DIABOLO_CHECK(host.info().space == Space::kHost, "products of a CPU are measured on it");
  const Clock::time_point start = Clock::now();
  const LayerProducts<float> wide(host);
  std::unique_ptr<LayerProducts<Bf16>> low;
  if (has_bf16_kernels(host.info().cpu)) low = std::make_unique<LayerProducts<Bf16>>(host);
  ProductRates rates;
  std::vector<double> f32, bf16;
  const std::unique_ptr<Stream> stream = host.create_stream();
  stream->submit([&](void*) {
    wide.seconds();  // what is made at the first run
    if (low) low->seconds();
    do {
      f32.push_back(wide.seconds());
      if (!low) continue;
      bf16.push_back(low->seconds());
      rates.gains.push_back(f32.back() / bf16.back());
    } while (seconds_since(start) < seconds);
  });
  stream->synchronize();
  rates.f32 = kFlops / median(f32);
  if (low) rates.bf16 = kFlops / median(bf16);
  return rates;
}

bool is_slower(std::span<const double> gains) {
  constexpr size_t kFewest = 5;
  constexpr double kLoss = 0.95;
  const auto slow = std::ranges::count_if(gains, [](double gain) { return gain < kLoss; });
  return gains.size() >= kFewest && 4 * static_cast<size_t>(slow) >= 3 * gains.size();
}

void warn_of_slow_bf16(Backend& host, const Log& log) {
  constexpr double kMoment = 0.08;
  const ProductRates rates = measure_products(host, kMoment);
  if (!is_slower(rates.gains)) return;
  log.warning("precision bf16: products on this CPU do ", gflops_text(rates.bf16),
              " GFLOP/s in bf16 and ", gflops_text(rates.f32),
              " in f32, so training in f32 is faster, and exacter");
}

std::string gflops_text(double flops) {
  return cat(std::llround(flops / 1e9));
}

}  // namespace diabolo
