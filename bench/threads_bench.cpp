// What the host's threads are worth: whole steps and calls of nets from a handful of numbers to the
// dense preset, with one thread and with all, in turn, so that both see the same machine. `share`
// is the rate with all threads over the better of the two. Rows ending in /loaded run beside as
// many busy processes as there are CPUs; `kept` is their rate over that of the quiet row. For the
// CPU.
#include <benchmark/benchmark.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <map>

#include "backend/host/host_threads.h"
#include "base/error.h"
#include "base/seconds.h"
#include "bench_main.h"
#include "infer/inference.h"
#include "inference_bed.h"

namespace diabolo::bench {
namespace {

const std::vector<Net>& nets() {
  static const std::vector<Net> all = {{"6-8-6", {6, 8}},
                                       {"8-6-2", {8, 6, 2}},
                                       {"6-64-32", {6, 64, 32}},
                                       {"64-16-8", {64, 16, 8}},
                                       dense_net()};
  return all;
}

// Processes that want a core each for as long as this lives.
class Load {
 public:
  explicit Load(size_t count) {
    for (size_t k = 0; k < count; ++k) {
      const pid_t child = fork();
      if (child < 0) continue;
      if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) benchmark::ClobberMemory();
      }
      children_.push_back(child);
    }
  }
  ~Load() {
    for (const pid_t child : children_) kill(child, SIGKILL);
    for (const pid_t child : children_) waitpid(child, nullptr, 0);
  }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

 private:
  std::vector<pid_t> children_;
};

// Something that goes over `rows` rows each time.
struct Work {
  std::function<void()> once;
  double rows = 0;
};
using MakeWork = std::function<Work(Backend&)>;

double seconds_of(const Work& work) {
  const auto begin = Clock::now();
  work.once();
  return seconds_since(begin);
}

// Seconds per row, of as many calls as take a few milliseconds.
double seconds_per_row(const Work& work, double least_seconds) {
  double seconds = 0, rows = 0;
  while (seconds < least_seconds) {
    seconds += seconds_of(work);
    rows += work.rows;
  }
  return seconds / rows;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

// Rates of both, in turn; an iteration is a round.
void run(benchmark::State& state, Backend& all, const MakeWork& make, bool is_loaded,
         double* quiet_rate) {
  const auto single = create_host_backend(1);
  const Work one_work = make(*single), all_work = make(all);
  std::vector<double> one, many;
  for (const Work* work : {&one_work, &all_work}) seconds_per_row(*work, 0.02);
  const Load load(is_loaded ? allowed_cpus().size() : 0);
  for ([[maybe_unused]] auto _ : state) {
    const double turn = is_loaded ? 0.1 : 0.005;  // longer than a scheduler's slice
    if (!is_loaded) one.push_back(seconds_per_row(one_work, turn));
    many.push_back(seconds_per_row(all_work, turn));
  }
  const double rate = 1 / median(many);
  state.counters["samples_per_s"] = rate;
  if (is_loaded) {
    state.counters["kept"] = rate / *quiet_rate;
    return;
  }
  *quiet_rate = rate;
  state.counters["one_samples_per_s"] = 1 / median(one);
  std::vector<double> shares;
  for (size_t k = 0; k < one.size(); ++k) shares.push_back(std::min(1.0, one[k] / many[k]));
  state.counters["share"] = median(shares);
}

// Steps for some 30 ms, which is what a training has under way at once: nobody waits for single
// ones.
Work training(Backend& backend, const Net& net, int64_t batch) {
  constexpr double kSeconds = 0.03;
  constexpr int kTried = 4;
  constexpr int64_t kRows = 1 << 19, kBytes = 1 << 25;
  const int64_t rows = std::max(batch, std::min(kRows, kBytes / net.widths[0]) / batch * batch);
  const auto bed = std::make_shared<TrainingBed>(backend, net, batch, Precision::kF32, rows);
  const auto run = [bed](int steps) {
    bed->run(steps);
    bed->synchronize();
  };
  run(kTried);
  const double tried = seconds_of({[&] { run(kTried); }});
  const double most = static_cast<double>(std::min<int64_t>(rows / batch, kernels::kStepSlots));
  const int steps = static_cast<int>(std::clamp(kTried * kSeconds / tried, 1.0, most));
  return {[=] { run(steps); }, static_cast<double>(batch * steps)};
}

Work encoding(Backend& backend, const Net& net, int64_t batch) {
  InferenceOptions options;
  const auto inference = std::make_shared<Inference>(backend, untrained_model(net), options);
  const auto bytes = std::make_shared<std::vector<std::byte>>(random_bytes(batch * net.widths[0]));
  const auto codes =
      std::make_shared<std::vector<float>>(static_cast<size_t>(batch * inference->code_size()));
  return {[=] {
            inference->encode(
                {.dtype = DType::kU8, .bytes = *bytes, .rows = static_cast<uint64_t>(batch)},
                *codes);
          },
          static_cast<double>(batch)};
}

void add(Backend& backend, const std::string& name, const MakeWork& make) {
  const auto quiet = std::make_shared<double>(0);
  for (const bool is_loaded : {false, true}) {
    benchmark::RegisterBenchmark((name + (is_loaded ? "/loaded" : "")).c_str(),
                                 [=, &backend](benchmark::State& state) {
                                   run(state, backend, make, is_loaded, quiet.get());
                                 })
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond)
        ->Iterations(is_loaded ? 4 : 15);
  }
}

// Weights of 64 MiB in one layer: few rows are bound by reading them.
void add_wide(Backend& backend) {
  static const Net wide = {"784-4096-4096-64", {784, 4096, 4096, 64}};
  for (const int64_t batch : {1, 8, 32, 256})
    add(backend, cat("threads/encode/", wide.name, "/", batch),
        [=](Backend& on) { return encoding(on, wide, batch); });
}

void add_all(Backend& backend) {
  add_wide(backend);
  for (const Net& net : nets()) {
    for (const int64_t batch : {1, 32, 256, 4096}) {
      const std::string end = cat(net.name, "/", batch);
      add(backend, "threads/train/" + end, [=](Backend& on) { return training(on, net, batch); });
      add(backend, "threads/encode/" + end, [=](Backend& on) { return encoding(on, net, batch); });
    }
  }
}

}  // namespace
}  // namespace diabolo::bench

int main(int argc, char** argv) {
  return diabolo::bench::run_benchmarks(argc, argv, diabolo::bench::add_all);
}
