// The dense CUDA kernels in the harness, against the double reference with its derived bound: odd
// extents around every tile, misaligned bases, each tile size, three schedules.
//
// Bound of a product of n terms: (n + 2) eps sum|terms|, eps = 2^-24, from n additions and products
// rounded once each; tf32 rounds each operand to 11 bits, 2^-10 sum|terms| more. What follows the
// product is added per op below.
#include <gtest/gtest.h>

#include "cuda_host/compare.h"
#include "cuda_host/device_array.h"
#include "cuda_host/kernel_run.h"

namespace diabolo {
namespace {

using namespace kernels;  // NOLINT: the records and references under test
using test::DeviceArray;
using test::kEps;
using test::random_values;
using test::unwritten;
using test::widened;

// The activations' own error, in eps, and a bound on their slope (GELU's and SiLU's reach 1.13).
constexpr double kFunctionUlp = 16;
constexpr double kSlope = 1.2;

struct Case {
  DenseShape shape;
  Activation activation = Activation::kIdentity;
  Loss loss = Loss::kMse;
  bool is_accumulating = false;
  int multiprocessors = 1;
  bool allows_tf32 = false;
  std::size_t offset = 0;  // elements from a 16-byte boundary
};

std::string text(const Case& c) {
  const DenseShape& s = c.shape;
  return "B" + std::to_string(s.B) + " I" + std::to_string(s.I) + " O" + std::to_string(s.O) +
         (s.weight_transposed ? " transposed " : " ") + name(c.activation) + " " + name(c.loss) +
         " sms" + std::to_string(c.multiprocessors) + (c.allows_tf32 ? " tf32" : "") + " offset" +
         std::to_string(c.offset);
}

cuda::Device device_of(const Case& c) {
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

// Every case that a test runs on: extents around the tiles, each activation at least once.
std::vector<Case> cases() {
  std::vector<Case> all;
  const int64_t extents[][3] = {{1, 1, 1},      {1, 31, 129}, {7, 64, 65},   {33, 100, 10},
                                {63, 16, 127},  {64, 65, 64}, {65, 127, 33}, {128, 33, 128},
                                {129, 40, 129}, {2, 129, 7}};
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
class DenseKernelsTest : public ::testing::Test {
 protected:
  void SetUp() override { test::skip_or_fail_without_device(); }

  // Runs check(case) over all cases, and for f32 some of them again in tf32.
  template <class F>
  void for_each_case(F&& check) {
    int count = 0;
    for (Case c : cases()) {
      SCOPED_TRACE(text(c));
      check(c);
      if (sizeof(T) == 4 && ++count % 2 == 0) {
        c.allows_tf32 = true;
        SCOPED_TRACE("in tf32");
        check(c);
      }
    }
  }

  std::mt19937 random_{11};
};

using Types = ::testing::Types<float, Bf16>;
TYPED_TEST_SUITE(DenseKernelsTest, Types);

TYPED_TEST(DenseKernelsTest, Forward) {
  using T = TypeParam;
  this->for_each_case([&](const Case& c) {
    const Layer<T> layer(c, this->random_);
    const bool has_bias = c.shape.O % 3 != 0;
    const std::size_t n = layer.target.size();
    DenseForward<double> reference{c.shape,
                                   c.activation,
                                   layer.dx.data(),
                                   layer.dweight.data(),
                                   has_bias ? layer.dbias.data() : nullptr,
                                   nullptr,
                                   nullptr};
    std::vector<double> y(n), z(n), size, unused;
    reference.y = y.data();
    reference.z = z.data();
    dense_forward_reference(reference);
    layer.product(unused, size);
    std::vector<double> z_bound(n), y_bound(n);
    for (std::size_t i = 0; i < n; ++i) {
      z_bound[i] = product_error<T>(c, c.shape.I) * size[i];
      y_bound[i] = kSlope * z_bound[i] + kFunctionUlp * kEps * (1 + std::abs(z[i]));
    }
    test::for_each_schedule([&] {
      const DeviceArray<T> out(unwritten<T>(n), c.offset), out_z(unwritten<T>(n), c.offset);
      run(DenseForward<T>{c.shape, c.activation, layer.x.data(), layer.weight.data(),
                          has_bias ? layer.bias.data() : nullptr, out.data(), out_z.data()},
          c);
      test::expect_close(out_z.read(), z, z_bound, "z");
      test::expect_close(out.read(), y, y_bound, "y");
    });
  });
}

// A row's result is the same bits whatever the batch and the tile.
TYPED_TEST(DenseKernelsTest, ForwardDoesNotDependOnTheBatch) {
  using T = TypeParam;
  Case c;
  c.shape = {129, 65, 66};
  c.activation = Activation::kTanh;
  const Layer<T> layer(c, this->random_);
  const auto rows = [&](int64_t B, int multiprocessors) {
    Case part = c;
    part.shape.B = B;
    part.multiprocessors = multiprocessors;
    const DeviceArray<T> out(unwritten<T>(static_cast<std::size_t>(B * 66)));
    run(DenseForward<T>{part.shape, c.activation, layer.x.data(), layer.weight.data(),
                        layer.bias.data(), out.data(), nullptr},
        part);
    std::vector<double> first = widened(out.read());
    first.resize(66);
    return first;
  };
  const std::vector<double> alone = rows(1, 1);
  for (const int64_t B : {2, 33, 129}) {
    for (const int multiprocessors : {1, 5, 1000}) EXPECT_EQ(rows(B, multiprocessors), alone);
  }
}

TYPED_TEST(DenseKernelsTest, Loss) {
  using T = TypeParam;
  this->for_each_case([&](const Case& c) {
    const Layer<T> layer(c, this->random_);
    const std::size_t n = layer.target.size();
    std::vector<double> z, size, dz(n), dz_bound(n);
    layer.product(z, size);
    double loss = 0, loss_bound = 0;
    DenseLoss<double> reference{c.shape,
                                c.activation,
                                c.loss,
                                0.5f,
                                layer.dx.data(),
                                layer.dweight.data(),
                                layer.dbias.data(),
                                layer.dtarget.data(),
                                dz.data(),
                                &loss};
    dense_loss_reference(reference);
    const double scale = 0.5 / static_cast<double>(n);
    for (std::size_t i = 0; i < n; ++i) {
      // The loss and its derivative are Lipschitz in z with at most 2 kSlope (1 + |y - t|).
      const double of_z =
          product_error<T>(c, c.shape.I) * size[i] + kFunctionUlp * kEps * (1 + std::abs(z[i]));
      const double reach = 4 * (1 + std::abs(z[i]) + std::abs(layer.dtarget[i]));
      const bool at_kink =
          test::is_at_kink(c.activation, c.loss, z[i], layer.dtarget[i], kSlope * of_z);
      dz_bound[i] = scale * (reach * of_z * kSlope + (at_kink ? 2 * reach : 0));
      loss_bound += scale * (reach * of_z * kSlope);
    }
    loss_bound += static_cast<double>(n) * kEps * std::abs(loss);
    test::for_each_schedule([&] {
      const DeviceArray<T> out(unwritten<T>(n), c.offset);
      const DeviceArray<float> out_loss(unwritten<float>(1));
      DenseLoss<T> p{c.shape,
                     c.activation,
                     c.loss,
                     0.5f,
                     layer.x.data(),
                     layer.weight.data(),
                     layer.bias.data(),
                     layer.target.data(),
                     out.data(),
                     out_loss.data()};
      run(p, c);
      test::expect_close(out_loss.read(), {loss}, {loss_bound}, "loss");
      test::expect_close(out.read(), dz, dz_bound, "dz");
      const std::vector<float> with_dz = out_loss.read();
      p.dz = nullptr;
      run(p, c);
      EXPECT_EQ(out_loss.read(), with_dz) << "the loss alone";
    });
  });
}

// Rows with a NaN, an infinity, and a number whose square f32 cannot hold; the others stay as they are.
TYPED_TEST(DenseKernelsTest, AScoreThatIsNotFiniteIsInfinite) {
  using T = TypeParam;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  Case c;
  c.shape = {5, 3, 4};
  const Layer<T> layer(c, this->random_);
  const auto score_of = [&](const std::vector<T>& host_x, const std::vector<T>& host_target) {
    const DeviceArray<T> x(host_x), target(host_target);
    const DeviceArray<float> score(unwritten<float>(5));
    run(DenseScore<T>{c.shape, c.activation, x.data(), layer.weight.data(), layer.bias.data(),
                      target.data(), score.data()},
        c);
    return score.read();
  };
  std::vector<T> x = layer.x.read(), target = layer.target.read();
  std::vector<float> expected = score_of(x, target);
  x[1 * 3 + 2] = narrow<T>(std::numeric_limits<float>::quiet_NaN());
  x[2 * 3 + 0] = narrow<T>(kInfinity);
  target[3 * 4 + 3] = narrow<T>(-3e38f);
  expected[1] = expected[2] = expected[3] = kInfinity;
  EXPECT_EQ(score_of(x, target), expected);
}

TYPED_TEST(DenseKernelsTest, Score) {
  using T = TypeParam;
  this->for_each_case([&](const Case& c) {
    const Layer<T> layer(c, this->random_);
    const auto rows = static_cast<std::size_t>(c.shape.B);
    const auto columns = static_cast<std::size_t>(c.shape.O);
    std::vector<double> z, size, score(rows), bound(rows);
    layer.product(z, size);
    dense_score_reference(DenseScore<double>{c.shape, c.activation, layer.dx.data(),
                                             layer.dweight.data(), layer.dbias.data(),
                                             layer.dtarget.data(), score.data()});
    for (std::size_t i = 0; i < z.size(); ++i) {
      const double of_y = kSlope * product_error<T>(c, c.shape.I) * size[i] +
                          kFunctionUlp * kEps * (1 + std::abs(z[i]));
      const double reach = 1 + std::abs(z[i]) + std::abs(layer.dtarget[i]);
      bound[i / columns] += 2 * reach * of_y / static_cast<double>(columns);
    }
    for (std::size_t b = 0; b < rows; ++b)
      bound[b] += static_cast<double>(columns + 2) * kEps * score[b];
    test::for_each_schedule([&] {
      const DeviceArray<float> out(unwritten<float>(rows));
      run(DenseScore<T>{c.shape, c.activation, layer.x.data(), layer.weight.data(),
                        layer.bias.data(), layer.target.data(), out.data()},
          c);
      test::expect_close(out.read(), score, bound, "score");
    });
  });
}

TYPED_TEST(DenseKernelsTest, DataGrad) {
  using T = TypeParam;
  this->for_each_case([&](const Case& c) {
    const Layer<T> layer(c, this->random_);
    const DenseShape& s = c.shape;
    const bool has_saved = s.B % 2 == 1;
    const std::size_t n = layer.x.size();
    std::vector<double> dx(n), bound(n);
    // `target` plays dz, x plays what the layer below saved.
    dense_data_grad_reference(
        DenseDataGrad<double>{s, c.activation, layer.dtarget.data(), layer.dweight.data(),
                              has_saved ? layer.dx.data() : nullptr, dx.data()});
    for (int64_t b = 0; b < s.B; ++b) {
      for (int64_t i = 0; i < s.I; ++i) {
        double size = 0;
        for (int64_t o = 0; o < s.O; ++o) {
          size += std::abs(layer.dtarget[static_cast<std::size_t>(b * s.O + o)] *
                           layer.dweight[static_cast<std::size_t>(s.weight_at(i, o))]);
        }
        // f' is at most 1.2 for the h and z that a layer saves; random ones reach further.
        const auto at = static_cast<std::size_t>(b * s.I + i);
        const double slope =
            has_saved
                ? with_activation(c.activation,
                                  [&](auto act) { return std::abs(act.derivative(layer.dx[at])); })
                : 1;
        bound[at] = (product_error<T>(c, s.O) + kEps) * size * slope +
                    kFunctionUlp * kEps * size * (1 + std::abs(layer.dx[at]));
      }
    }
    test::for_each_schedule([&] {
      const DeviceArray<T> out(unwritten<T>(n), c.offset);
      run(DenseDataGrad<T>{s, c.activation, layer.target.data(), layer.weight.data(),
                           has_saved ? layer.x.data() : nullptr, out.data()},
          c);
      test::expect_close(out.read(), dx, bound, "dx");
    });
  });
}

TYPED_TEST(DenseKernelsTest, WeightGrad) {
  using T = TypeParam;
  std::vector<Case> all = cases();
  for (const int64_t B : {1301, 2000}) {  // deep enough to be split
    Case c;
    c.shape = {B, 33, 7, B == 2000};
    c.multiprocessors = 1000;
    c.is_accumulating = B == 2000;
    for (const bool allows_tf32 : {false, true}) {
      if (sizeof(T) == 2 && allows_tf32) continue;
      c.allows_tf32 = allows_tf32;
      EXPECT_GT(cuda::choose_weight_grad<T>(c.shape, device_of(c)).splits, 1);
      all.push_back(c);
    }
  }
  for (const Case& c : all) {
    SCOPED_TRACE(text(c));
    const Layer<T> layer(c, this->random_);
    const DenseShape& s = c.shape;
    const std::size_t n = layer.weight.size(), columns = layer.bias.size();
    const std::vector<float> old_weight = random_values<float>(n, this->random_);
    const std::vector<float> old_bias = random_values<float>(columns, this->random_);
    std::vector<double> d_weight = widened(old_weight), d_bias = widened(old_bias);
    dense_weight_grad_reference(DenseWeightGrad<double>{s, c.is_accumulating, c.is_accumulating,
                                                        layer.dx.data(), layer.dtarget.data(),
                                                        d_weight.data(), d_bias.data()});
    std::vector<double> weight_bound(n), bias_bound(columns);
    for (int64_t o = 0; o < s.O; ++o) {
      for (int64_t i = 0; i < s.I; ++i) {
        const auto at = static_cast<std::size_t>(s.weight_at(i, o));
        double size = std::abs(static_cast<double>(old_weight[at]));
        for (int64_t b = 0; b < s.B; ++b) {
          size += std::abs(layer.dx[static_cast<std::size_t>(b * s.I + i)] *
                           layer.dtarget[static_cast<std::size_t>(b * s.O + o)]);
        }
        weight_bound[at] = product_error<T>(c, s.B) * size;
      }
      double size = std::abs(static_cast<double>(old_bias[static_cast<std::size_t>(o)]));
      for (int64_t b = 0; b < s.B; ++b) {
        size += std::abs(layer.dtarget[static_cast<std::size_t>(b * s.O + o)]);
      }
      bias_bound[static_cast<std::size_t>(o)] = static_cast<double>(s.B + 2) * kEps * size;
    }
    test::for_each_schedule([&] {
      const bool adds = c.is_accumulating;
      const DeviceArray<float> weight_out(adds ? old_weight : unwritten<float>(n), c.offset);
      const DeviceArray<float> bias_out(adds ? old_bias : unwritten<float>(columns), c.offset);
      run(DenseWeightGrad<T>{s, adds, adds, layer.x.data(), layer.target.data(), weight_out.data(),
                             bias_out.data()},
          c);
      test::expect_close(weight_out.read(), d_weight, weight_bound, "d_weight");
      test::expect_close(bias_out.read(), d_bias, bias_bound, "d_bias");
      const DeviceArray<float> alone(adds ? old_weight : unwritten<float>(n), c.offset);
      run(DenseWeightGrad<T>{s, adds, adds, layer.x.data(), layer.target.data(), alone.data(),
                             nullptr},
          c);
      EXPECT_EQ(alone.read(), weight_out.read()) << "without a bias";
    });
  }
}

}  // namespace
}  // namespace diabolo
