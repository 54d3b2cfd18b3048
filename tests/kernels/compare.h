// What the tests of this folder share: random data, calls with their scratch, bounds.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/common/kernel.h"
#include "kernels/cpu/thread_team.h"

namespace diabolo::kernels {

inline constexpr double kFloatEps = 5.9604644775390625e-8;  // 2^-24
inline constexpr double kBf16Eps = 0.00390625;              // 2^-8

template <class T>
constexpr double storage_eps() {
  return std::is_same_v<T, Bf16> ? kBf16Eps : 0.0;
}

inline double to_double(float value) {
  return value;
}
inline double to_double(Bf16 value) {
  return to_float(value);
}

template <class T>
std::vector<T> random_values(int64_t n, uint32_t seed, float low = -1, float high = 1) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(low, high);
  std::vector<T> values(static_cast<size_t>(n));
  for (T& value : values) value = narrow<T>(uniform(generator));
  return values;
}

// Outputs start as NaN, so that an element that is not written shows.
template <class T>
std::vector<T> unwritten(int64_t n) {
  return std::vector<T>(static_cast<size_t>(n), narrow<T>(std::nanf("")));
}

// Prepares and runs `call` with `threads` threads, its scratch full of NaN.
template <class Call>
void run_call(const Call& call, cpu::CpuFeatures features) {
  std::vector<std::byte> storage(scratch_bytes(call, features) + 64, std::byte{0xff});
  void* scratch = storage.data();
  size_t space = storage.size();
  std::align(64, 1, scratch, space);
  cpu::ThreadTeam team(features.threads, [](int) {});
  const cpu::TeamScope scope(&team);
  prepare(call, features, scratch)(nullptr);
}

template <class Call>
void run_call(const Call& call, int threads = 1) {
  run_call(call, cpu::detect_features(threads));
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

}  // namespace diabolo::kernels
