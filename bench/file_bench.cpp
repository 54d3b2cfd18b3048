// File to file beside the same rows in memory: what reading, handing over and writing cost. Rows of
// f32 from a raw file to raw codes in the folder for temporary files, whose disk counts too.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "bench_main.h"
#include "inference_bed.h"
#include "jobs/encode_pipeline.h"

namespace diabolo::bench {
namespace {

constexpr uint64_t kBytes = uint64_t{256} << 20;  // of rows

// A net with rows for it, in memory and in a file.
class Bed {
 public:
  explicit Bed(const Net& net) : model_(untrained_model(net)) {
    const auto width = static_cast<uint64_t>(net.widths[0]);
    model_.row = TensorDesc(DType::kF32, {net.widths[0]});
    rows_ = kBytes / (width * sizeof(float));
    values_.resize(rows_ * width);
    const std::vector<std::byte> bytes = random_bytes(1 << 20);
    for (size_t i = 0; i < values_.size(); ++i)
      values_[i] = std::to_integer<uint8_t>(bytes[i % bytes.size()]);
    codes_.resize(rows_ * static_cast<uint64_t>(net.widths.back()));
    std::string pattern = std::filesystem::temp_directory_path() / "diabolo-bench-XXXXXX";
    if (!mkdtemp(pattern.data())) throw Error(ErrorCode::kResource, "no temporary folder");
    folder_ = pattern;
    std::ofstream(input(), std::ios::binary)
        .write(reinterpret_cast<const char*>(values_.data()),
               static_cast<std::streamsize>(values_.size() * sizeof(float)));
  }
  ~Bed() { std::filesystem::remove_all(folder_); }
  Bed(const Bed&) = delete;
  Bed& operator=(const Bed&) = delete;

  uint64_t rows() const { return rows_; }
  void in_memory(const Inference& inference) {
    inference.encode({.bytes = std::as_bytes(std::span(values_)), .rows = rows_}, codes_);
  }
  void file_to_file(Backend& backend) {
    OpenOptions raw;
    raw.format = "raw";
    raw.dtype = DType::kF32;
    raw.row_shape.assign(model_.row.extents().begin(), model_.row.extents().end());
    PipelineOptions options;
    options.output = folder_ + "/codes.raw";
    run_pipeline(backend, model_, *open_dataset(input(), raw), options);
  }
  const ModelFile& model() const { return model_; }

 private:
  std::string input() const { return folder_ + "/rows.raw"; }

  ModelFile model_;
  std::string folder_;
  uint64_t rows_ = 0;
  std::vector<float> values_, codes_;
};

void count(benchmark::State& state, uint64_t rows) {
  state.counters["samples_per_s"] =
      benchmark::Counter(static_cast<double>(rows), benchmark::Counter::kIsIterationInvariantRate);
}

void add_all(Backend& backend) {
  const auto kept = std::make_shared<Kept<Bed>>();
  for (const Net& net : {Net{"8-6-2", {8, 6, 2}}, Net{"64-16-8", {64, 16, 8}}, dense_net()}) {
    const auto bed = [=]() -> Bed& {
      return kept->of(net.name, [&] { return std::make_unique<Bed>(net); });
    };
    const auto add = [&](const char* what, const auto& function) {
      benchmark::RegisterBenchmark(cat(what, "/", net.name).c_str(), function)
          ->UseRealTime()
          ->Unit(benchmark::kMillisecond);
    };
    add("memory", [=, &backend](benchmark::State& state) {
      const Inference inference(backend, bed().model(), {});
      bed().in_memory(inference);
      for ([[maybe_unused]] auto _ : state) bed().in_memory(inference);
      count(state, bed().rows());
    });
    add("file", [=, &backend](benchmark::State& state) {
      bed().file_to_file(backend);
      for ([[maybe_unused]] auto _ : state) bed().file_to_file(backend);
      count(state, bed().rows());
    });
  }
}

}  // namespace
}  // namespace diabolo::bench

int main(int argc, char** argv) {
  return diabolo::bench::run_benchmarks(argc, argv, diabolo::bench::add_all);
}
