// What the tests of dense CUDA kernels share: odd extents around every tile, misaligned bases, each
// tile size, and the error that a product may have.
//
// Bound of a product of n terms: (n + 2) eps sum|terms|, eps = 2^-24, from n additions and products
// rounded once each; tf32 rounds each operand to 11 bits, 2^-10 sum|terms| more. What follows the
// product is added per op below.
#pragma once

#include <gtest/gtest.h>

#include "cuda_host/compare.h"
#include "cuda_host/device_array.h"
#include "cuda_host/kernel_run.h"

namespace diabolo::dense_cases {

using namespace kernels;  // NOLINT: the records and references under test
using test::DeviceArray;
using test::kEps;
using test::random_values;
using test::unwritten;
using test::widened;

// The activations' own error, in eps, and a bound on their slope (GELU's and SiLU's reach 1.13).
inline constexpr double kFunctionUlp = 16;
inline constexpr double kSlope = 1.2;

struct Case {
  DenseShape shape;
  Activation activation = Activation::kIdentity;
  Loss loss = Loss::kMse;
  bool is_accumulating = false;
  int multiprocessors = 1;
  bool allows_tf32 = false;
  std::size_t offset = 0;  // elements from a 16-byte boundary
  int schedule = -1;       // the only one to run under; below 0: all
};

// Large cases run under one schedule, each under another: together they see all.
template <class F>
void for_each_schedule(const Case& c, F&& body) {
  if (c.schedule < 0) {
    test::for_each_schedule_of_a_case(body);
  } else {
    test::for_one_schedule(static_cast<std::size_t>(c.schedule), body);
  }
}

inline std::string text(const Case& c) {
  const DenseShape& s = c.shape;
  return "B" + std::to_string(s.B) + " I" + std::to_string(s.I) + " O" + std::to_string(s.O) +
         (s.weight_transposed ? " transposed " : " ") + name(c.activation) + " " + name(c.loss) +
         " sms" + std::to_string(c.multiprocessors) + (c.allows_tf32 ? " tf32" : "") + " offset" +
         std::to_string(c.offset);
}

inline cuda::Device device_of(const Case& c) {
  cuda::Device device;
  device.multiprocessors = c.multiprocessors;
  device.allows_tf32 = c.allows_tf32;
  return device;
}

// Relative error of a product's sum of absolute terms.
template <class T>
double product_error(const Case& c, int64_t terms) {
  const double tf32 = sizeof(T) == 4 && c.allows_tf32 ? 0x1p-10 : 0;
  return static_cast<double>(terms + 2) * kEps + tf32;
}

// Every operand in whole chunks of 16 bytes, some tiles (of the tall one each way), and a deeper
// sum than there are stages: what a trained model's products look like. The multiprocessors are
// those for which the chooser takes a tile that no case before it had (CasesTakeEveryTile).
inline std::vector<Case> wide_cases() {
  std::vector<Case> all;
  const std::pair<DenseShape, int> shapes[] = {
      {{40, 72, 136, true}, 2},   {{72, 136, 40}, 3},       {{136, 40, 72}, 3},
      {{72, 72, 136}, 2},         {{40, 40, 264, true}, 4}, {{72, 136, 72, true}, 2},
      {{40, 264, 40, true}, 4},   {{264, 40, 40}, 4},       {{72, 136, 136, true}, 2},
      {{136, 72, 72}, 2},         {{136, 72, 136}, 2},      {{264, 136, 136}, 4},
      {{264, 136, 136, true}, 4}, {{136, 264, 136}, 4},     {{136, 72, 40}, 1}};
  for (const auto& [shape, multiprocessors] : shapes) {
    Case c;
    c.shape = shape;
    c.activation = static_cast<Activation>(all.size() % kActivationCount);
    c.loss = static_cast<Loss>(all.size() % kLossCount);
    c.is_accumulating = all.size() % 3 == 0;
    c.multiprocessors = multiprocessors;
    c.schedule = static_cast<int>(all.size());
    all.push_back(c);
  }
  return all;
}

// Every case that a test runs on: wide ones, and extents around the tiles, each activation at least
// once.
inline std::vector<Case> cases() {
  std::vector<Case> all = wide_cases();
  const int64_t extents[][3] = {{1, 1, 1},      {1, 31, 129}, {7, 64, 65},    {33, 100, 10},
                                {63, 16, 127},  {64, 65, 64}, {65, 127, 33},  {128, 33, 128},
                                {129, 40, 129}, {2, 129, 7},  {250, 17, 250}, {17, 250, 250},
                                {250, 250, 17}};
  int count = 0;
  for (const auto& e : extents) {
    for (const int multiprocessors : {1, 5, 1000}) {
      Case c;
      c.shape = {e[0], e[1], e[2], count % 2 == 1};
      c.activation = static_cast<Activation>(count % kActivationCount);
      c.loss = static_cast<Loss>(count % kLossCount);
      c.is_accumulating = count % 3 == 0;
      c.multiprocessors = multiprocessors;
      c.offset = static_cast<std::size_t>(count % 4 == 3 ? 1 : 0);
      all.push_back(c);
      ++count;
    }
  }
  return all;
}

// The inputs of a layer, on the device and as doubles.
template <class T>
struct Layer {
  Layer(const Case& c, std::mt19937& random)
      : s(c.shape),
        x(random_values<T>(count(s.B, s.I), random), c.offset),
        weight(random_values<T>(count(s.I, s.O), random, 0.3), c.offset),
        bias(random_values<float>(count(1, s.O), random), c.offset),
        target(random_values<T>(count(s.B, s.O), random, 0.5), c.offset),
        dx(widened(x.read())),
        dweight(widened(weight.read())),
        dbias(widened(bias.read())),
        dtarget(widened(target.read())) {}

  static std::size_t count(int64_t a, int64_t b) { return static_cast<std::size_t>(a * b); }

  // z and sum |terms| of every output.
  void product(std::vector<double>& z, std::vector<double>& size) const {
    z.assign(count(s.B, s.O), 0);
    size = z;
    for (int64_t b = 0; b < s.B; ++b) {
      for (int64_t o = 0; o < s.O; ++o) {
        const std::size_t at = count(b, s.O) + static_cast<std::size_t>(o);
        z[at] = dense_z_at(s, dx.data(), dweight.data(), dbias.data(), b, o);
        size[at] = std::abs(dbias[static_cast<std::size_t>(o)]);
        for (int64_t i = 0; i < s.I; ++i) {
          size[at] += std::abs(dx[static_cast<std::size_t>(b * s.I + i)] *
                               dweight[static_cast<std::size_t>(s.weight_at(i, o))]);
        }
      }
    }
  }

  DenseShape s;
  DeviceArray<T> x, weight;
  DeviceArray<float> bias;
  DeviceArray<T> target;
  std::vector<double> dx, dweight, dbias, dtarget;
};

template <class P>
void run(const P& p, const Case& c) {
  test::run_kernel(p, device_of(c));
}

template <class T>
class DenseKernels : public ::testing::Test {
 protected:
  void SetUp() override { test::skip_or_fail_without_device(); }

  // Runs check(case) over all cases, and for f32 some of them again in tf32.
  template <class F>
  void for_each_case(F&& check) {
    int count = 0;
    for (Case c : cases()) {
      SCOPED_TRACE(text(c));
      check(c);
      const bool is_wide = c.shape.I % 8 == 0 && c.shape.O % 8 == 0 && c.offset == 0;
      if (sizeof(T) == 4 && (is_wide || ++count % 2 == 0)) {
        c.allows_tf32 = true;
        SCOPED_TRACE("in tf32");
        check(c);
      }
    }
  }

  std::mt19937 random_{11};
};

using Types = ::testing::Types<float, Bf16>;

}  // namespace diabolo::dense_cases
