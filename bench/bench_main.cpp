#include "bench_main.h"

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace diabolo::bench {
namespace {

struct Options {
  std::string device = "cpu";
  int threads = 0;
};

// Takes "--name value" and "--name=value" of ours out of the arguments.
Options take_options(std::vector<char*>& arguments) {
  Options options;
  std::vector<char*> kept;
  for (size_t k = 0; k < arguments.size(); ++k) {
    const std::string_view text = arguments[k];
    const auto value_of = [&](std::string_view name) -> const char* {
      if (text == name && k + 1 < arguments.size()) return arguments[++k];
      if (text.starts_with(name) && text.size() > name.size() && text[name.size()] == '=')
        return arguments[k] + name.size() + 1;
      return nullptr;
    };
    if (const char* device = value_of("--device")) {
      options.device = device;
    } else if (const char* threads = value_of("--threads")) {
      options.threads = std::atoi(threads);
    } else {
      kept.push_back(arguments[k]);
    }
  }
  arguments = std::move(kept);
  return options;
}

std::unique_ptr<Backend> open_device(const Options& options) {
  if (options.device == "cpu") return create_host_backend(options.threads);
  if (options.device == "cuda") return create_cuda_backend(0);
  if (options.device.starts_with("cuda:"))
    return create_cuda_backend(std::atoi(options.device.c_str() + 5));
  throw Error(ErrorCode::kUsage,
              cat("--device ", options.device, ": expected cpu, cuda or cuda:N"));
}

void add_facts(const DeviceInfo& device) {
  benchmark::AddCustomContext("device", device.name);
  benchmark::AddCustomContext("commit", DIABOLO_COMMIT);
  if (device.space == Space::kHost)
    benchmark::AddCustomContext("threads", std::to_string(device.cpu.threads));
}

}  // namespace

int run_benchmarks(int argc, char** argv, const std::function<void(Backend&)>& add_benchmarks) {
  try {
    std::vector<char*> arguments(argv, argv + argc);
    const Options options = take_options(arguments);
    const std::unique_ptr<Backend> backend = open_device(options);
    struct Clear {  // of what rows keep on the backend
      ~Clear() { benchmark::ClearRegisteredBenchmarks(); }
    } clear;
    add_facts(backend->info());
    add_benchmarks(*backend);
    int count = static_cast<int>(arguments.size());
    benchmark::Initialize(&count, arguments.data());
    if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 2;
    benchmark::RunSpecifiedBenchmarks();
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
    return static_cast<int>(error.code());
  }
}

}  // namespace diabolo::bench
