// What the benchmark programs share: --device, --threads, and the facts of a run in the JSON.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "backend/backend.h"

namespace diabolo::bench {

struct Setting {
  std::unique_ptr<Backend> backend;
  std::string arguments;  // what was left of --extra TEXT, for programs that take one
};

// Reads and removes our options, lets `add_benchmarks` register them, runs them. Returns the exit
// code. Options: --device cpu|cuda|cuda:N (default cpu), --threads N (default all), --extra TEXT.
int run_benchmarks(int argc, char** argv, const std::function<void(Setting&)>& add_benchmarks);

}  // namespace diabolo::bench
