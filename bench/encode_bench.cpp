// Encoding rows that are in memory: the encoder's plan over contiguous batches of resident rows, as
// the peers do it, and one row through the library's own entry (Inference), warm.
#include <benchmark/benchmark.h>

#include "base/error.h"
#include "bench_main.h"
#include "kernels/common/philox.h"
#include "model/model_file.h"
#include "run/inference.h"
#include "training_bed.h"

namespace diabolo::bench {
namespace {

ModelFile untrained_model(const Net& net) {
  ModelFile model;
  model.config = net.config();
  model.row = TensorDesc(DType::kU8, {net.widths[0]});
  model.parameters = initial_parameters(model.network(), 0);
  const auto features = static_cast<size_t>(net.widths[0]);
  model.scaling.kind = Scale::kUnit;
  model.scaling.shift.assign(features, 0.0f);
  model.scaling.scale.assign(features, 1.0f / 255.0f);
  return model;
}

std::vector<std::byte> random_rows(int64_t rows, int64_t features) {
  std::vector<std::byte> bytes(static_cast<size_t>(rows * features));
  for (size_t k = 0; k < bytes.size(); ++k) {
    const kernels::Philox4 draw = kernels::draw_quad({3, 0, 0}, 0, static_cast<uint32_t>(k / 16));
    bytes[k] = static_cast<std::byte>(draw.lane[k / 4 % 4] >> (8 * (k % 4)));
  }
  return bytes;
}

void encode(benchmark::State& state, Backend& backend, const Net& net, int64_t batch,
            Precision precision) {
  InferenceOptions options;
  options.precision = precision;
  const Inference inference(backend, untrained_model(net), options);
  const int64_t rows = batch == 1 ? 64 : std::max<int64_t>(8192, batch);
  const std::vector<std::byte> bytes = random_rows(rows, inference.features());
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

// The plan of one mode over rows that lie on the device: no copies in or out.
void run_resident(benchmark::State& state, Backend& backend, const Net& net, Mode mode,
                  int64_t rows, Precision precision) {
  const ModelFile model = untrained_model(net);
  const Network network = model.network();
  ParameterStore store(backend, network.parameters(), store_options(precision));
  const auto stream = backend.create_stream();
  add_scaling(store, network, model.scaling, *stream);
  for (size_t k = 0; k < model.parameters.size(); ++k)
    store.write(store.parameter(store.parameters()[k].name), model.parameters[k].data(), *stream);
  store.refresh_low(*stream);
  const std::vector<std::byte> bytes = random_rows(rows, network.features);
  const Buffer data(backend, bytes.size());
  stream->copy_in(data.data(), bytes.data(), bytes.size());
  BuildOptions options;
  options.mode = mode;
  options.rows = rows;
  options.precision = precision;
  options.source = Source::kRawU8;
  const Plan plan = Plan::compile(build_graph(model.config.model, network, options), backend.info(),
                                  policy_of(model.config.train));
  Arena arena(backend);
  arena.reserve(plan.arena_bytes());
  Executor executor(plan, backend, store, arena, *stream, {{model_names::kInput, data.data()}});
  constexpr int kTimes = 16;
  executor.run_many(2 * kTimes);
  stream->synchronize();
  for ([[maybe_unused]] auto _ : state) {
    executor.run_many(kTimes);
    stream->synchronize();
  }
  const auto rate = benchmark::Counter::kIsIterationInvariantRate;
  const auto samples = static_cast<double>(rows * kTimes);
  state.counters["samples_per_s"] = benchmark::Counter(samples, rate);
  state.counters["run_s"] = benchmark::Counter(kTimes, rate | benchmark::Counter::kInvert);
}

void add_resident(Setting& setting, Precision precision) {
  Backend* backend = setting.backend.get();
  const auto add = [&](const char* what, Mode mode, int64_t rows) {
    const std::string text = cat(what, "/dense64/", name(precision), "/", rows);
    benchmark::RegisterBenchmark(text.c_str(),
                                 [=](benchmark::State& state) {
                                   run_resident(state, *backend, wide_net(), mode, rows, precision);
                                 })
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
  };
  add("score", Mode::kScore, backend->info().space == Space::kHost ? 4096 : 65536);
  add("encode_resident", Mode::kEncode, 1);
  add("encode_resident", Mode::kEncode, 4096);
}

void add_all(Setting& setting) {
  const DeviceInfo& device = setting.backend->info();
  Backend* backend = setting.backend.get();
  for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
    if (precision == Precision::kBf16 && device.space == Space::kHost && !device.cpu.has_bf16)
      continue;
    add_resident(setting, precision);
    for (const int64_t batch : {1, 256, 4096}) {
      const std::string text = cat("encode/dense/", name(precision), "/", batch);
      benchmark::RegisterBenchmark(
          text.c_str(),
          [=](benchmark::State& state) { encode(state, *backend, dense_net(), batch, precision); })
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
