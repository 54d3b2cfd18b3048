// Training steps of whole nets: samples per second, flops, and on the host the sum of the step's
// kernels timed alone, in order, on the step's own buffers.
#include <benchmark/benchmark.h>

#include "base/error.h"
#include "bench_main.h"
#include "training_bed.h"

namespace diabolo::bench {
namespace {

constexpr int kStepsPerLaunch = 16;

int64_t data_rows(int64_t batch) {
  return std::max<int64_t>(60000, batch * kStepsPerLaunch) / batch * batch;
}

struct WarmBed {
  WarmBed(Backend& backend, const Net& net, int64_t batch, Precision precision)
      : bed(backend, net, batch, precision, data_rows(batch)) {
    bed.run(1);
    bed.synchronize();
    first_loss = bed.last_loss();
    bed.run(2 * kStepsPerLaunch - 1);
    bed.synchronize();
  }

  TrainingBed bed;
  float first_loss = 0;  // what a peer on the same data must get
};

void train(benchmark::State& state, Backend& backend, const Net& net, int64_t batch,
           WarmBed& warm) {
  TrainingBed& bed = warm.bed;
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
  state.counters["first_loss"] = warm.first_loss;
  if (backend.info().space == Space::kHost)
    state.counters["kernels_alone_s"] = bed.kernels_alone_seconds(21);
}

using KeptBed = std::shared_ptr<Kept<WarmBed>>;

void add(Backend& backend, const KeptBed& kept, const Net& net, int64_t batch,
         Precision precision) {
  const std::string text = cat("train/", net.name, "/", name(precision), "/", batch);
  benchmark::RegisterBenchmark(text.c_str(),
                               [=, &backend, &net](benchmark::State& state) {
                                 train(state, backend, net, batch, kept->of(text, [&] {
                                   return std::make_unique<WarmBed>(backend, net, batch, precision);
                                 }));
                               })
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

void add_all(Backend& backend) {
  const DeviceInfo& device = backend.info();
  const bool is_host = device.space == Space::kHost;
  const auto kept = std::make_shared<Kept<WarmBed>>();
  std::vector<Precision> precisions = {Precision::kF32};
  if (!is_host) precisions.push_back(Precision::kTf32);
  if (!is_host || device.cpu.has_bf16) precisions.push_back(Precision::kBf16);
  for (const Precision precision : precisions) {
    for (const int64_t batch : {256, 4096}) add(backend, kept, dense_net(), batch, precision);
    for (const int64_t batch : {256, 4096, 65536}) {
      if (!is_host) add(backend, kept, wide_net(), batch, precision);
    }
  }
}

}  // namespace
}  // namespace diabolo::bench

int main(int argc, char** argv) {
  return diabolo::bench::run_benchmarks(argc, argv, diabolo::bench::add_all);
}
