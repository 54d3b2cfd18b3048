// The dense CUDA kernels in the harness, against the double reference with its derived bound, on
// three schedules: forward, loss and score.
#include "cuda_host/dense_cases.h"

namespace diabolo {
namespace {

using namespace dense_cases;  // NOLINT: made for this

template <class T>
class DenseKernelsTest : public DenseKernels<T> {};
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
    for_each_schedule(c, [&] {
      const DeviceArray<T> out(unwritten<T>(n), c.offset), out_z(unwritten<T>(n), c.offset);
      run(DenseForward<T>{c.shape, c.activation, layer.x.data(), layer.weight.data(),
                          has_bias ? layer.bias.data() : nullptr, out.data(), out_z.data()},
          c);
      test::expect_close(out_z.read(), z, z_bound, "z");
      test::expect_close(out.read(), y, y_bound, "y");
    });
  });
}

// A row's result is the same bits whatever the batch and the tile, narrow and wide.
TYPED_TEST(DenseKernelsTest, ForwardDoesNotDependOnTheBatch) {
  using T = TypeParam;
  for (const DenseShape& whole : {DenseShape{129, 65, 66}, DenseShape{264, 136, 136}}) {
    Case c;
    c.shape = whole;
    c.activation = Activation::kTanh;
    SCOPED_TRACE(text(c));
    const Layer<T> layer(c, this->random_);
    const auto rows = [&](int64_t B, int multiprocessors) {
      Case part = c;
      part.shape.B = B;
      part.multiprocessors = multiprocessors;
      const DeviceArray<T> out(unwritten<T>(static_cast<std::size_t>(B * whole.O)));
      run(DenseForward<T>{part.shape, c.activation, layer.x.data(), layer.weight.data(),
                          layer.bias.data(), out.data(), nullptr},
          part);
      return widened(out.read());
    };
    const std::vector<double> all = rows(whole.B, 1000);  // in small tiles
    for (const int64_t B : {int64_t{1}, int64_t{2}, int64_t{33}, whole.B}) {
      std::vector<double> first = all;
      first.resize(static_cast<std::size_t>(B * whole.O));
      for (const int multiprocessors : {1, 4, 5})
        EXPECT_TRUE(rows(B, multiprocessors) == first) << B << " rows, " << multiprocessors;
    }
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
    for_each_schedule(c, [&] {
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

// Every tile's partial loss reaches the block that comes last, whoever that is. On a GPU there are
// several waves of blocks, which really meet, many times.
TYPED_TEST(DenseKernelsTest, LossOfManyTiles) {
  using T = TypeParam;
  const bool is_gpu = test::blocks_really_meet();
  Case c;
  c.shape = {is_gpu ? 160000 : 200, 8, 32};
  c.multiprocessors = is_gpu ? 132 : 4;
  const auto count = [](int64_t a, int64_t b) { return static_cast<std::size_t>(a * b); };
  const DeviceArray<T> x(count(c.shape.B, 8)), weight(count(8, 32)), dz(count(c.shape.B, 32));
  const DeviceArray<T> target(random_values<T>(count(c.shape.B, 32), this->random_));
  double expected = 0;
  for (const double t : widened(target.read())) expected += t * t;
  expected /= static_cast<double>(target.size());
  DeviceArray<float> loss(unwritten<float>(1));
  const DeviceArray<std::uint32_t> arrivals(1);
  const DenseLoss<T> p{.shape = c.shape,
                       .x = x.data(),
                       .weight = weight.data(),
                       .target = target.data(),
                       .dz = dz.data(),
                       .loss = loss.data(),
                       .arrivals = arrivals.data()};
  EXPECT_GE(cuda::zeroed_bytes(p, device_of(c)), 4U);
  const DeviceArray<unsigned char> scratch(
      std::vector<unsigned char>(cuda::scratch_bytes(p, device_of(c)), 0xFF));
  const Launch launch = prepare(p, device_of(c), scratch.data());
  std::vector<float> first;
  for (int repeat = 0; repeat < (is_gpu ? 200 : 3); ++repeat) {
    loss.write(unwritten<float>(1));
    test::for_one_schedule(static_cast<std::size_t>(repeat),
                           [&] { test::run_on_device([&](void* stream) { launch(stream); }); });
    if (repeat == 0) first = loss.read();
    ASSERT_NEAR(loss.read()[0], expected, 1e-5 * expected);
    ASSERT_EQ(loss.read(), first) << "repeat " << repeat;
    ASSERT_EQ(arrivals.read()[0], 0U);
  }
}

// Rows with a NaN, an infinity, and a number whose square f32 cannot hold; the others stay as they
// are.
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
    for_each_schedule(c, [&] {
      const DeviceArray<float> out(unwritten<float>(rows));
      run(DenseScore<T>{c.shape, c.activation, layer.x.data(), layer.weight.data(),
                        layer.bias.data(), layer.target.data(), out.data()},
          c);
      test::expect_close(out.read(), score, bound, "score");
    });
  });
}

}  // namespace
}  // namespace diabolo
