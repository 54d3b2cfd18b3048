// Models and trainings on disk: loading and saving a model (from and to the page cache and the
// disk's flush), and what a whole training spends beside its steps, saving above all.
#include <benchmark/benchmark.h>

#include <filesystem>
#include <random>

#include "base/error.h"
#include "base/seconds.h"
#include "bench_main.h"
#include "train/trainer.h"
#include "training_bed.h"

namespace diabolo::bench {
namespace {

namespace stdfs = std::filesystem;

const Net& large_net() {
  static const Net net{"30m", {2048, 4096, 1536, 256}};
  return net;
}

// A folder of its own, gone with the benchmark.
struct Folder {
  Folder() {
    std::string pattern = (stdfs::temp_directory_path() / "diabolo-XXXXXX").string();
    path = mkdtemp(pattern.data());
  }
  ~Folder() {
    std::error_code ignored;
    stdfs::remove_all(path, ignored);
  }
  std::string path;
};

std::vector<float> random_rows(int64_t rows, int64_t features) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> out(static_cast<size_t>(rows * features));
  for (float& value : out) value = normal(random);
  return out;
}

struct Saved {
  explicit Saved(const Net& net) {
    model.config = net.config();
    model.row = TensorDesc(DType::kF32, {net.widths[0]});
    model.scaling.kind = Scale::kUnit;
    model.scaling.shift.assign(static_cast<size_t>(net.widths[0]), 0);
    model.scaling.scale.assign(static_cast<size_t>(net.widths[0]), 1);
    model.config = resolved(model.config, Scale::kUnit);
    model.parameters =
        ParameterValues(model.network().parameters(), initial_parameters(model.network(), 1));
    path = folder.path + "/model.safetensors";
    save_model(model, path);
    bytes = static_cast<double>(stdfs::file_size(path));
  }
  Folder folder;
  ModelFile model;
  std::string path;
  double bytes = 0;
};

void count_bytes(benchmark::State& state, double bytes) {
  state.counters["bytes_per_s"] =
      benchmark::Counter(bytes, benchmark::Counter::kIsIterationInvariantRate);
}

void load(benchmark::State& state, const Net& net) {
  const Saved saved(net);
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(load_model(saved.path));
  count_bytes(state, saved.bytes);
}

void save(benchmark::State& state, const Net& net) {
  Saved saved(net);
  for ([[maybe_unused]] auto _ : state) save_model(saved.model, saved.path);
  count_bytes(state, saved.bytes);
}

// beside_steps: the share of the time that is not in metrics.jsonl's seconds.
void whole_training(benchmark::State& state, Backend& backend, const Net& net, int64_t epochs) {
  constexpr int64_t kRows = 1000;
  const std::vector<float> values = random_rows(kRows, net.widths[0]);
  const auto data = memory_dataset("rows", TensorDesc(DType::kF32, {net.widths[0]}),
                                   std::as_bytes(std::span(values)));
  Config config = net.config();
  config.data.scale = Scale::kStandard;
  config.model.decoder.output = {};
  config.train.epochs = epochs;
  double wall_s = 0, steps_s = 0;
  for ([[maybe_unused]] auto _ : state) {
    const Folder folder;
    TrainOptions options;
    options.directory = open_run_directory(folder.path + "/run", RunUse::kNew);
    const auto start = Clock::now();
    const TrainResult result = train(backend, config, *data, nullptr, options, {});
    wall_s += seconds_since(start);
    for (const EpochMetrics& epoch : result.metrics) steps_s += epoch.seconds;
  }
  state.counters["beside_steps"] = 1 - steps_s / wall_s;
}

template <class Work>
void add(const std::string& name, const Work& work) {
  benchmark::RegisterBenchmark(name.c_str(), work)->UseRealTime()->Unit(benchmark::kMillisecond);
}

void add_all(Backend& backend) {
  static const Net small{"8-6-2", {8, 6, 2}};
  for (const Net* net : {&dense_net(), &large_net()}) {
    add(cat("load_model/", net->name), [net](benchmark::State& state) { load(state, *net); });
    add(cat("save_model/", net->name), [net](benchmark::State& state) { save(state, *net); });
  }
  for (const auto& [net, epochs] :
       {std::pair(&small, 20000), {&dense_net(), 200}, {&large_net(), 8}})
    add(cat("train_run/", net->name, "/", epochs),
        [&backend, net, epochs](benchmark::State& state) {
          whole_training(state, backend, *net, epochs);
        });
}

}  // namespace
}  // namespace diabolo::bench

int main(int argc, char** argv) {
  return diabolo::bench::run_benchmarks(argc, argv, diabolo::bench::add_all);
}
