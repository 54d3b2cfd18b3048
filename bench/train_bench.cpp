// Training steps of whole nets: samples per second, flops, and on the host the sum of the step's
// kernels timed alone, in order, on the step's own buffers.
#include <benchmark/benchmark.h>

#include "base/error.h"
#include "bench_main.h"
#include "training_bed.h"

namespace diabolo::bench {
namespace {

constexpr int kStepsPerLaunch = 16;

void train(benchmark::State& state, Backend& backend, const Net& net, int64_t batch,
           Precision precision) {
  const int64_t rows = std::max<int64_t>(60000, batch * kStepsPerLaunch);
  TrainingBed bed(backend, net, batch, precision, rows / batch * batch);
  bed.run(1);
  bed.synchronize();
  const float first_loss = bed.last_loss();  // what a peer on the same data must get
  bed.run(2 * kStepsPerLaunch - 1);
  bed.synchronize();
  for ([[maybe_unused]] auto _ : state) {
    bed.run(kStepsPerLaunch);
    bed.synchronize();
  }
  const auto samples = static_cast<double>(batch * kStepsPerLaunch);
  const auto rate = benchmark::Counter::kIsIterationInvariantRate;
  state.counters["samples_per_s"] = benchmark::Counter(samples, rate);
  state.counters["flops"] = benchmark::Counter(samples * net.training_flops_per_row(), rate);
  state.counters["step_s"] =
      benchmark::Counter(kStepsPerLaunch, rate | benchmark::Counter::kInvert);
  state.counters["first_loss"] = first_loss;
  if (backend.info().space == Space::kHost)
    state.counters["kernels_alone_s"] = bed.kernels_alone_seconds(21);
}

void add(Backend& backend, const Net& net, int64_t batch, Precision precision) {
  const std::string text = cat("train/", net.name, "/", name(precision), "/", batch);
  benchmark::RegisterBenchmark(text.c_str(),
                               [=, &backend, &net](benchmark::State& state) {
                                 train(state, backend, net, batch, precision);
                               })
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

void add_all(Backend& backend) {
  const DeviceInfo& device = backend.info();
  const bool is_host = device.space == Space::kHost;
  std::vector<Precision> precisions = {Precision::kF32};
  if (!is_host) precisions.push_back(Precision::kTf32);
  if (!is_host || device.cpu.has_bf16) precisions.push_back(Precision::kBf16);
  for (const Precision precision : precisions) {
    for (const int64_t batch : {256, 4096}) add(backend, dense_net(), batch, precision);
    for (const int64_t batch : {256, 4096, 65536}) {
      if (!is_host) add(backend, wide_net(), batch, precision);
    }
  }
}

}  // namespace
}  // namespace diabolo::bench

int main(int argc, char** argv) {
  return diabolo::bench::run_benchmarks(argc, argv, diabolo::bench::add_all);
}
