// What the benchmark programs share: --device, --threads, and the facts of a run in the JSON.
#pragma once

#include <functional>

#include "backend/backend.h"

namespace diabolo::bench {

// Reads and removes our options, lets `add_benchmarks` register them, runs them. Returns the exit
// code. Options: --device cpu|cuda|cuda:N (default cpu), --threads N (default all).
int run_benchmarks(int argc, char** argv, const std::function<void(Backend&)>& add_benchmarks);

}  // namespace diabolo::bench
