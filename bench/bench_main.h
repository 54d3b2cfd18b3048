// What the benchmark programs share: --device, --threads, and the facts of a run in the JSON.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "backend/backend.h"

namespace diabolo::bench {

// What a row is measured on, kept until the next row asks: Google Benchmark calls a row's function
// several times, and some take seconds to set up. Rows share one through their captures, so it goes
// before the backend.
template <class Bed>
class Kept {
 public:
  template <class Make>
  Bed& of(const std::string& row, Make&& make) {
    if (bed_ && row_ == row) return *bed_;
    bed_.reset();  // first give back, then take
    bed_ = make();
    row_ = row;
    return *bed_;
  }

 private:
  std::string row_;
  std::unique_ptr<Bed> bed_;
};

// Reads and removes our options, lets `add_benchmarks` register them, runs them. Returns the exit
// code. Options: --device cpu|cuda|cuda:N (default cpu), --threads N (default all).
int run_benchmarks(int argc, char** argv, const std::function<void(Backend&)>& add_benchmarks);

}  // namespace diabolo::bench
