// What the CPU's matrix products do per second: not all CPUs that have bf16 products are faster
// with them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/log.h"

namespace diabolo {

// Of a layer of 512 x 512 with 256 rows, forward and both gradients, by the kernels and threads
// that a training has.
struct ProductRates {
  double f32 = 0;             // floating-point operations per second, median over the rounds
  double bf16 = 0;            // 0: there are no such products
  std::vector<double> gains;  // of each round, in which both took turns: bf16 over f32
};

// Rounds for so many seconds, those of preparation included, on a stream of its own; one at least.
// The backend must be the host's. Throws Error{kResource}.
ProductRates measure_products(Backend& host, double seconds);

// Whether bf16 loses: by a twentieth in three rounds of four, and there were some. Nothing that
// other programs on the machine do to both says so.
bool is_slower(std::span<const double> gains);

// Measures for a moment, and warns where it is in vain to compute in bf16 on this CPU.
void warn_of_slow_bf16(Backend& host, const Log& log);

// "203" of 2.03e11.
std::string gflops_text(double flops);

}  // namespace diabolo
