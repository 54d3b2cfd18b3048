// What a call of diabolo_encode costs for one row, beside the sum of the kernels that it runs: the
// dense net, warm, on the calling thread. Calls and kernels take turns, so that both see the same
// machine. For the CPU.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/error.h"
#include "base/seconds.h"
#include "bench_main.h"
#include "diabolo/diabolo.h"
#include "inference_bed.h"
#include "kernel_times.h"

namespace diabolo::bench {
namespace {

void require(diabolo_status status) {
  if (status != DIABOLO_OK) throw Error(static_cast<ErrorCode>(status), diabolo_last_error());
}

// The same model on the other side of the C interface, which takes it from a file.
class CModel {
 public:
  explicit CModel(ModelFile model) {
    diabolo_context_options options{};
    options.struct_size = sizeof options;
    options.device = "cpu";
    require(diabolo_context_create(&options, &context_));
    std::string folder = (std::filesystem::temp_directory_path() / "diabolo_bench_XXXXXX").string();
    if (mkdtemp(folder.data()) == nullptr)
      throw Error(ErrorCode::kResource, cat(folder, ": cannot make a folder for the model"));
    const std::string path = folder + "/model.safetensors";
    save_model(model, path);
    const diabolo_status status = diabolo_model_load(context_, path.c_str(), nullptr, &model_);
    std::filesystem::remove_all(folder);
    require(status);
  }
  CModel(const CModel&) = delete;
  CModel& operator=(const CModel&) = delete;
  ~CModel() {
    diabolo_model_destroy(model_);
    diabolo_context_destroy(context_);
  }

  void encode(const diabolo_rows& row, std::span<float> code) const {
    require(diabolo_encode(model_, &row, code.data(), code.size()));
  }

 private:
  diabolo_context* context_ = nullptr;
  diabolo_model* model_ = nullptr;
};

// One row of a type: how the C interface takes it, and how the plan of that call does.
struct Row {
  std::vector<std::byte> bytes = random_bytes(dense_net().widths[0]);
  std::vector<float> floats;
  Source source = Source::kRawU8;

  explicit Row(bool is_u8) {
    if (is_u8) return;
    for (const std::byte value : bytes) floats.push_back(std::to_integer<uint8_t>(value));
    source = Source::kScaled;
  }

  diabolo_rows of_c() const {
    const auto features = static_cast<uint64_t>(dense_net().widths[0]);
    diabolo_rows rows = diabolo_rows_f32(floats.data(), 1, features);
    if (source == Source::kScaled) return rows;
    rows.data = bytes.data();
    rows.dtype = DIABOLO_U8;
    return rows;
  }

  std::vector<std::byte> of_plan() const {
    if (source == Source::kRawU8) return bytes;
    std::vector<float> scaled = floats;
    for (float& value : scaled) value /= 255;
    const auto view = std::as_bytes(std::span(scaled));
    return {view.begin(), view.end()};
  }
};

void call(benchmark::State& state, Backend& backend, bool is_u8) {
  const ModelFile model = untrained_model(dense_net());
  const CModel c_model(model);
  const Row row(is_u8);
  TaskGraphOptions options;
  options.rows = 1;
  options.source = row.source;
  DeviceInfo device = backend.info();
  device.cpu.threads = 1;  // as a call of one row runs
  InferenceBed bed(backend, device, StreamKind::kCallerThread, model, kEncodeTask, options,
                   row.of_plan());

  constexpr int kWarmUp = 50;
  const diabolo_rows rows = row.of_c();
  std::vector<float> code(static_cast<size_t>(model.config.model.code.size));
  KernelTimes kernels;
  for (int k = 0; k < kWarmUp; ++k) {
    c_model.encode(rows, code);
    bed.time_kernels(kernels);
  }
  kernels.forget();
  std::vector<double> calls;
  for ([[maybe_unused]] auto _ : state) {
    const auto began = Clock::now();
    c_model.encode(rows, code);
    calls.push_back(seconds_since(began));
    state.SetIterationTime(calls.back());
    bed.time_kernels(kernels);
  }
  state.counters["call_s"] = median(calls);
  state.counters["kernels_alone_s"] = kernels.sum_of_medians();
}

void add_all(Backend& backend) {
  if (backend.info().space != Space::kHost)
    throw Error(ErrorCode::kUsage, "--device: call_bench times kernels on the calling thread: cpu");
  for (const bool is_u8 : {false, true}) {
    benchmark::RegisterBenchmark(
        cat("call/dense/", is_u8 ? "u8" : "f32", "/1").c_str(),
        [&backend, is_u8](benchmark::State& state) { call(state, backend, is_u8); })
        ->UseManualTime()
        ->Unit(benchmark::kMicrosecond);
  }
}

}  // namespace
}  // namespace diabolo::bench

int main(int argc, char** argv) {
  return diabolo::bench::run_benchmarks(argc, argv, diabolo::bench::add_all);
}
