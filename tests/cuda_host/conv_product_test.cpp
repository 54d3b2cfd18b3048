// The tiled product with another loader and output map: a convolution and its data gradient against
// plain loops. Inputs are small whole numbers, so that every sum is exact.
#include "cuda_host/conv_product.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "cuda_host/device_array.h"
#include "cuda_host/schedules.h"

namespace diabolo::test {
namespace {

using kernels::narrow;
using kernels::widen;

std::vector<Bf16> whole_numbers(std::size_t count, std::mt19937& random) {
  std::vector<Bf16> values(count);
  for (Bf16& value : values)
    value = narrow<Bf16>(static_cast<float>(static_cast<int>(random() % 7) - 3));
  return values;
}

// Calls f(x index, weight index, y index) for every product of the convolution.
template <class F>
void for_each_product(const Conv& c, F&& f) {
  const int height = c.out_height(), width = c.out_width();
  for (int b = 0; b < c.B; ++b) {
    for (int place = 0; place < height * width; ++place) {
      for (int tap = 0; tap < c.kernel * c.kernel; ++tap) {
        const int y = place / width * c.stride - c.padding + tap / c.kernel;
        const int x = place % width * c.stride - c.padding + tap % c.kernel;
        if (y < 0 || y >= c.H || x < 0 || x >= c.W) continue;
        for (int i = 0; i < c.C; ++i) {
          for (int o = 0; o < c.O; ++o) {
            f(((b * c.H + y) * c.W + x) * c.C + i, (tap * c.C + i) * c.O + o,
              (b * height * width + place) * c.O + o);
          }
        }
      }
    }
  }
}

// Kernel, stride, padding; channels that fill chunks, that do not, and more than a tile of them;
// those that do beside a weight that does not.
constexpr Conv kConvs[] = {
    {2, 7, 5, 8, 16, 3, 1, 1},  {1, 7, 7, 16, 8, 3, 2, 1},  {2, 6, 8, 8, 40, 4, 2, 1},
    {1, 9, 7, 40, 72, 3, 2, 0}, {3, 5, 5, 1, 3, 5, 1, 2},   {2, 7, 6, 3, 8, 2, 3, 0},
    {2, 8, 8, 8, 8, 1, 2, 0},   {1, 6, 5, 72, 24, 2, 1, 0}, {1, 11, 9, 5, 33, 4, 3, 2},
    {1, 6, 7, 16, 33, 3, 1, 1}, {2, 5, 6, 8, 12, 2, 1, 0},
};

std::string text(const Conv& c) {
  return "B" + std::to_string(c.B) + " " + std::to_string(c.H) + "x" + std::to_string(c.W) + " C" +
         std::to_string(c.C) + " O" + std::to_string(c.O) + " kernel " + std::to_string(c.kernel) +
         " stride " + std::to_string(c.stride) + " padding " + std::to_string(c.padding);
}

class ConvProduct : public ::testing::Test {
 protected:
  // Runs `launch` over `a` and `weight` and compares every output.
  template <class Launch>
  static void expect(const std::vector<float>& expected, const Launch& launch) {
    for_each_schedule([&] {
      const DeviceArray<float> out(std::vector<float>(expected.size(), -1e30f));
      run_on_device([&](void* stream) { launch(out.data(), stream); });
      EXPECT_EQ(out.read(), expected);
    });
  }

  std::mt19937 random_{5};
};

TEST_F(ConvProduct, ForwardIsIm2col) {
  for (const Conv& c : kConvs) {
    SCOPED_TRACE(text(c));
    const auto x = whole_numbers(static_cast<std::size_t>(c.B * c.H * c.W * c.C), random_);
    const auto w =
        whole_numbers(static_cast<std::size_t>(c.kernel * c.kernel * c.C * c.O), random_);
    std::vector<float> y(static_cast<std::size_t>(c.B * c.out_height() * c.out_width() * c.O));
    for_each_product(c, [&](int of_x, int of_w, int of_y) {
      y[static_cast<std::size_t>(of_y)] +=
          widen(x[static_cast<std::size_t>(of_x)]) * widen(w[static_cast<std::size_t>(of_w)]);
    });
    const DeviceArray<Bf16> x_in(x), w_in(w);
    expect(y, [&](float* out, void* stream) {
      launch_conv_forward(c, x_in.data(), w_in.data(), out, stream);
    });
  }
}

TEST_F(ConvProduct, DataGradIsAProductForEachPhase) {
  for (const Conv& c : kConvs) {
    SCOPED_TRACE(text(c));
    const auto dz = whole_numbers(
        static_cast<std::size_t>(c.B * c.out_height() * c.out_width() * c.O), random_);
    const auto w =
        whole_numbers(static_cast<std::size_t>(c.kernel * c.kernel * c.C * c.O), random_);
    std::vector<float> dx(static_cast<std::size_t>(c.B * c.H * c.W * c.C));
    for_each_product(c, [&](int of_x, int of_w, int of_y) {
      dx[static_cast<std::size_t>(of_x)] +=
          widen(dz[static_cast<std::size_t>(of_y)]) * widen(w[static_cast<std::size_t>(of_w)]);
    });
    const DeviceArray<Bf16> dz_in(dz), w_in(w);
    expect(dx, [&](float* out, void* stream) {
      launch_conv_data_grad(c, dz_in.data(), w_in.data(), out, stream);
    });
  }
}

}  // namespace
}  // namespace diabolo::test
