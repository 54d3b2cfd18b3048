// What a call of diabolo_encode costs for one row, beside the sum of the kernels that it runs: the
// `dense` network, warm, on the calling thread. Prints one line for each type of row. Interleaved, so
// that both see the same machine.
//
//   encode_latency [ROUNDS]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>

#include "base/error.h"
#include "diabolo/diabolo.h"
#include "graph/executor.h"
#include "kernels/cpu/thread_setup.h"
#include "model/model_file.h"

namespace diabolo {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kFeatures = 784;
constexpr uint64_t kRows = 256;
constexpr int kWarmUp = 50;

double microseconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::micro>(to - from).count();
}

double median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void require(diabolo_status status) {
  if (status == DIABOLO_OK) return;
  std::fprintf(stderr, "%s\n", diabolo_last_error());
  std::exit(status);
}

// A model of the preset's own sizes, in the library and as a file.
diabolo_model* make_model(const diabolo_context* context, const std::vector<uint8_t>& data,
                          const std::string& path) {
  diabolo_rows rows = diabolo_rows_f32(nullptr, kRows, kFeatures);
  rows.data = data.data();
  rows.dtype = DIABOLO_U8;
  diabolo_train_options options{};
  options.struct_size = sizeof options;
  options.epochs = 1;
  diabolo_model* model = nullptr;
  require(diabolo_train(context, &rows, &options, &model, nullptr));
  require(diabolo_model_save(model, path.c_str()));
  return model;
}

// The kernels of encoding one row, each timed alone, in order, on its buffers.
class Kernels {
 public:
  Kernels(Backend& backend, const ModelFile& model, Source source)
      : stream_(backend.create_stream(StreamKind::kCallerThread)),
        store_(backend, model.network().parameters(), store_options(Precision::kF32)),
        plan_(plan_of(backend, model, source)),
        arena_(backend),
        input_(backend, kFeatures * sizeof(float)) {
    const Network network = model.network();
    add_scaling(store_, network, model.scaling, *stream_);
    for (size_t k = 0; k < model.parameters.size(); ++k)
      store_.write(store_.parameter(store_.parameters()[k].name), model.parameters[k].data(),
                   *stream_);
    stream_->fill(input_.data(), 1, input_.bytes());
    stream_->synchronize();
    arena_.reserve(plan_.arena_bytes());
    executor_ = std::make_unique<Executor>(
        plan_, backend, store_, arena_, *stream_,
        std::map<std::string, void*>{{model_names::kInput, input_.data()}});
    times_.resize(executor_->launches().size());
  }

  void time_once() {
    const kernels::cpu::CallerSetup setup;
    for (size_t k = 0; k < times_.size(); ++k) {
      const auto start = Clock::now();
      executor_->launches()[k](nullptr);
      times_[k].push_back(microseconds(start, Clock::now()));
    }
  }

  double sum_of_medians() {
    double sum = 0;
    for (std::vector<double>& times : times_) sum += median(times);
    return sum;
  }

  void forget() {
    for (std::vector<double>& times : times_) times.clear();
  }

 private:
  static Plan plan_of(Backend& backend, const ModelFile& model, Source source) {
    BuildOptions options;
    options.rows = 1;
    options.source = source;
    DeviceInfo device = backend.info();
    device.cpu.threads = 1;  // as a call of one row runs
    return Plan::compile(build_graph(model.config.model, model.network(), options), device,
                         Policy());
  }

  std::unique_ptr<Stream> stream_;
  ParameterStore store_;
  Plan plan_;
  Arena arena_;
  Buffer input_;
  std::unique_ptr<Executor> executor_;
  std::vector<std::vector<double>> times_;
};

void measure(const diabolo_model* model, Kernels& kernels, const char* what, diabolo_rows row,
             int rounds) {
  std::vector<float> code(32);
  std::vector<double> calls;
  for (int round = -kWarmUp; round < rounds; ++round) {
    if (round == 0) {
      calls.clear();
      kernels.forget();
    }
    const auto start = Clock::now();
    require(diabolo_encode(model, &row, code.data(), code.size()));
    calls.push_back(microseconds(start, Clock::now()));
    kernels.time_once();
  }
  const double call = median(calls), sum = kernels.sum_of_medians();
  std::printf("%s row: diabolo_encode %.1f us, its kernels %.1f us, ratio %.3f (limit 1.5)\n", what,
              call, sum, call / sum);
}

long threads_of_this_process() {
  const auto tasks = std::filesystem::directory_iterator("/proc/self/task");
  return std::distance(begin(tasks), end(tasks));
}

int run(int rounds) {
  std::mt19937 random(1);
  std::vector<uint8_t> data(kRows * kFeatures);
  for (uint8_t& value : data) value = static_cast<uint8_t>(random());
  const std::vector<float> floats(data.begin(), data.begin() + kFeatures);
  diabolo_context* context = nullptr;
  diabolo_context_options options{};
  options.struct_size = sizeof options;
  options.device = "cpu";
  require(diabolo_context_create(&options, &context));
  const std::string path = std::filesystem::temp_directory_path() / "diabolo_encode_latency.model";
  diabolo_model* model = make_model(context, data, path);
  const auto backend = create_host_backend();
  const ModelFile file = load_model(path);
  std::filesystem::remove(path);

  const long threads = threads_of_this_process();
  diabolo_rows row = diabolo_rows_f32(floats.data(), 1, kFeatures);
  Kernels scaled(*backend, file, Source::kScaled), raw(*backend, file, Source::kRawU8);
  measure(model, scaled, "f32", row, rounds);
  row.data = data.data();
  row.dtype = DIABOLO_U8;
  measure(model, raw, "u8", row, rounds);
  std::printf("threads started meanwhile: %ld\n", threads_of_this_process() - threads);
  require(diabolo_model_destroy(model));
  require(diabolo_context_destroy(context));
  return 0;
}

}  // namespace
}  // namespace diabolo

int main(int argc, char** argv) {
  return diabolo::run(argc > 1 ? std::atoi(argv[1]) : 1000);
}
