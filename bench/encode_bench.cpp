// Encoding rows that are in memory: the encoder's plan over contiguous batches of resident rows, as
// the peers do it, and one row through the library's own entry (Inference), warm.
#include <benchmark/benchmark.h>

#include "base/error.h"
#include "bench_main.h"
#include "infer/inference.h"
#include "inference_bed.h"

namespace diabolo::bench {
namespace {

void encode(benchmark::State& state, Backend& backend, const Net& net, int64_t batch,
            Precision precision) {
  InferenceOptions options;
  options.precision = precision;
  const Inference inference(backend, untrained_model(net), options);
  const int64_t rows = batch == 1 ? 64 : std::max<int64_t>(8192, batch);
  const std::vector<std::byte> bytes = random_bytes(rows * inference.features());
  std::vector<float> codes(static_cast<size_t>(batch * inference.code_size()));
  const auto one_batch = [&](int64_t first) {
    const auto row_bytes = static_cast<size_t>(inference.features());
    const std::span<const std::byte> part(bytes.data() + static_cast<size_t>(first) * row_bytes,
                                          static_cast<size_t>(batch) * row_bytes);
    inference.encode({.dtype = DType::kU8, .bytes = part, .rows = static_cast<uint64_t>(batch)},
                     codes);
  };
  for (int64_t first = 0; first < rows; first += batch) one_batch(first);
  int64_t first = 0;
  for ([[maybe_unused]] auto _ : state) {
    one_batch(first);
    first = (first + batch) % rows;
  }
  const auto rate = benchmark::Counter::kIsIterationInvariantRate;
  const auto samples = static_cast<double>(batch);
  state.counters["samples_per_s"] = benchmark::Counter(samples, rate);
  state.counters["flops"] = benchmark::Counter(samples * net.flops_per_row() / 2, rate);
}

constexpr int kTimes = 16;  // of a plan over resident rows, in one launch

// The plan of one mode over rows that lie on the device, warm.
std::unique_ptr<InferenceBed> resident_bed(Backend& backend, const Net& net, const Task& task,
                                           int64_t rows, Precision precision) {
  TaskGraphOptions options;
  options.rows = rows;
  options.precision = precision;
  options.source = Source::kRawU8;
  auto bed = std::make_unique<InferenceBed>(backend, backend.info(), StreamKind::kOwnThread,
                                            untrained_model(net), task, options,
                                            random_bytes(rows * net.widths[0]));
  bed->run(2 * kTimes);
  return bed;
}

// No copies in or out.
void run_resident(benchmark::State& state, InferenceBed& bed, int64_t rows) {
  for ([[maybe_unused]] auto _ : state) bed.run(kTimes);
  const auto rate = benchmark::Counter::kIsIterationInvariantRate;
  const auto samples = static_cast<double>(rows * kTimes);
  state.counters["samples_per_s"] = benchmark::Counter(samples, rate);
  state.counters["run_s"] = benchmark::Counter(kTimes, rate | benchmark::Counter::kInvert);
}

void add_resident(Backend& backend, const std::shared_ptr<Kept<InferenceBed>>& kept,
                  Precision precision) {
  const auto add = [&](const char* what, const Task& task, int64_t rows) {
    const std::string text = cat(what, "/dense64/", name(precision), "/", rows);
    benchmark::RegisterBenchmark(
        text.c_str(),
        [=, &backend, &task](benchmark::State& state) {
          InferenceBed& bed = kept->of(
              text, [&] { return resident_bed(backend, wide_net(), task, rows, precision); });
          run_resident(state, bed, rows);
        })
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
  };
  add("score", kScoreTask, backend.info().space == Space::kHost ? 4096 : 65536);
  add("encode_resident", kEncodeTask, 1);
  add("encode_resident", kEncodeTask, 4096);
}

void add_all(Backend& backend) {
  const DeviceInfo& device = backend.info();
  const auto kept = std::make_shared<Kept<InferenceBed>>();
  for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
    if (precision == Precision::kBf16 && device.space == Space::kHost && !device.cpu.has_bf16)
      continue;
    add_resident(backend, kept, precision);
    for (const int64_t batch : {1, 256, 4096}) {
      const std::string text = cat("encode/dense/", name(precision), "/", batch);
      benchmark::RegisterBenchmark(text.c_str(),
                                   [=, &backend](benchmark::State& state) {
                                     encode(state, backend, dense_net(), batch, precision);
                                   })
          ->UseRealTime()
          ->Unit(benchmark::kMicrosecond);
    }
  }
}

}  // namespace
}  // namespace diabolo::bench

int main(int argc, char** argv) {
  return diabolo::bench::run_benchmarks(argc, argv, diabolo::bench::add_all);
}
