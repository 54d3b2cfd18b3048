// What the CPU can do and how many cores this process may use.
#pragma once

#include <string>

namespace diabolo::kernels::cpu {

// What the choice of a kernel may depend on, and what prepare builds for.
struct CpuFeatures {
  bool has_avx2 = false;    // with FMA
  bool has_avx512 = false;  // F, BW, DQ and VL
  bool has_bf16 = false;    // products of bf16: AVX-512 BF16 or AMX
  int threads = 1;          // OpenMP threads that a prepared call will use
};

// Of this machine, as far as oneDNN uses them where it is built in. threads = 0: as many as
// available_cores().
CpuFeatures detect_features(int threads = 0);

// Cores in the affinity mask that the process started with; at least 1.
int available_cores();

// As the CPU itself tells it: "AMD EPYC 9V74 80-Core Processor"; "unknown CPU" if it does not.
std::string cpu_name();

}  // namespace diabolo::kernels::cpu
