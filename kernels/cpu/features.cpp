#include "kernels/cpu/features.h"

#include <sched.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "kernels/cpu/product.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace diabolo::kernels::cpu {
namespace {

int count_cores() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof(mask), &mask) != 0) return 1;
  return std::max(1, CPU_COUNT(&mask));
}

#if defined(__x86_64__)
// AMX-BF16 with the kernel's support is a superset for oneDNN, but every CPU that has it has
// AVX-512 BF16 too, so one test will do.
bool has_bf16_products() {
  return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw");
}
#endif

}  // namespace

int available_cores() {
  static const int cores = count_cores();
  return cores;
}

CpuFeatures detect_features(int threads) {
  CpuFeatures features;
  features.threads = threads > 0 ? threads : available_cores();
#if defined(__x86_64__)
  features.has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  features.has_avx512 = features.has_avx2 && __builtin_cpu_supports("avx512f") &&
                        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512vl");
  features.has_bf16 = features.has_avx512 && has_bf16_products();
#endif
#if DIABOLO_HAS_ONEDNN
  const OneDnnSets onednn = onednn_sets();
  features.has_avx512 = features.has_avx512 && onednn.has_avx512;
  features.has_bf16 = features.has_bf16 && onednn.has_bf16;
#endif
  return features;
}

std::string cpu_name() {
#if defined(__x86_64__)
  constexpr unsigned kFirstLeaf = 0x80000002u;
  constexpr unsigned kLeaves = 3;
  std::array<unsigned, 4 * kLeaves + 1> words{};  // the last one ends the text
  bool is_known = true;
  for (unsigned leaf = 0; leaf < kLeaves; ++leaf) {
    unsigned* w = words.data() + 4 * leaf;
    is_known = is_known && __get_cpuid(kFirstLeaf + leaf, w, w + 1, w + 2, w + 3) != 0;
  }
  const std::string name(reinterpret_cast<const char*>(words.data()));
  const size_t first = name.find_first_not_of(' ');
  if (is_known && first != std::string::npos) {
    return name.substr(first, name.find_last_not_of(' ') - first + 1);
  }
#endif
  return "unknown CPU";
}

}  // namespace diabolo::kernels::cpu
