// Comparing a kernel's output with the reference in double, element by element, with a derived
// bound.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/common/losses.h"
#include "kernels/common/scalar.h"

namespace diabolo::test {

using kernels::Bf16;

// Half a unit in the last place, relative, of what an output is rounded to.
template <class T>
inline constexpr double kUnit = sizeof(T) == 2 ? 0x1p-8 : 0x1p-24;

template <class T>
std::vector<T> random_values(std::size_t count, std::mt19937& random, double scale = 1) {
  std::normal_distribution<float> normal(0, static_cast<float>(scale));
  std::vector<T> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    // Exact zeros, tiny and large values among the ordinary ones.
    float value = normal(random);
    if (random() % 16 == 0) value = 0;
    if (random() % 64 == 0) value *= 1e-6f;
    if (random() % 64 == 0) value *= 8;
    values[i] = kernels::narrow<T>(value);
  }
  return values;
}

// What outputs hold before a kernel runs: a NaN stays where nothing was written.
template <class T>
std::vector<T> unwritten(std::size_t count) {
  T nan;
  if constexpr (sizeof(T) == 2) {
    nan = T{0x7FFF};
  } else {
    nan = std::numeric_limits<T>::quiet_NaN();
  }
  return std::vector<T>(count, nan);
}

template <class T>
std::vector<double> widened(const std::vector<T>& values) {
  std::vector<double> wide(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) wide[i] = kernels::widen(values[i]);
  return wide;
}

// True where a change of z and y by `error` may step over a kink: of relu and its like at z = 0, of
// L1 and Huber at y - t in {0, 1, -1}. The derivative may then be that of either side.
inline bool is_at_kink(kernels::Activation activation, kernels::Loss loss, double z, double target,
                       double error) {
  const double y = kernels::with_activation(activation, [&](auto act) { return act.forward(z); });
  const double distance = std::abs(y - target);
  const bool of_loss = loss == kernels::Loss::kL1 || loss == kernels::Loss::kHuber;
  return std::abs(z) <= error ||
         (of_loss && (distance <= error || std::abs(distance - 1) <= error));
}

// |found - expected| <= bound + unit |expected| for each element; reports the worst offender only.
template <class T>
void expect_close(const std::vector<T>& found, const std::vector<double>& expected,
                  const std::vector<double>& bound, const std::string& what) {
  ASSERT_EQ(found.size(), expected.size()) << what;
  std::size_t worst = found.size();
  double worst_ratio = 1;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double difference = std::abs(static_cast<double>(kernels::widen(found[i])) - expected[i]);
    const double allowed = bound[i] + kUnit<T> * std::abs(expected[i]) + 1e-37;
    const double ratio = difference / allowed;
    if (ratio <= worst_ratio) continue;  // false for a NaN
    worst = i;
    worst_ratio = std::isnan(ratio) ? std::numeric_limits<double>::infinity() : ratio;
  }
  if (worst == found.size()) return;
  ADD_FAILURE() << what << ": element " << worst << " is " << kernels::widen(found[worst])
                << ", expected " << expected[worst] << " within " << bound[worst] << " ("
                << worst_ratio << " times)";
}

}  // namespace diabolo::test
