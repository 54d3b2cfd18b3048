// The dense CUDA kernels in the harness, against the double reference with its derived bound, on
// three schedules: gradients.
#include <set>

#include "cuda_host/dense_cases.h"

namespace diabolo {
namespace {

using namespace dense_cases;  // NOLINT: made for this

template <class T>
class DenseGradsTest : public DenseKernels<T> {};
TYPED_TEST_SUITE(DenseGradsTest, Types);

// How a product is computed: its tile; by whole chunks, with more steps than stages and several
// tiles, or in some other way.
using Way = std::pair<cuda::TileSize, bool>;

template <class T>
Way way_of(const cuda::GemmShape& shape, cuda::TileSize tile, int64_t k, const Case& c) {
  const DenseShape& s = c.shape;
  const auto elems = static_cast<int64_t>(16 / sizeof(T));
  const bool is_wide = s.I % elems == 0 && s.O % elems == 0 && c.offset == 0;
  const int64_t step = (tile == cuda::TileSize::kSmall ? 8 : 4) * elems, most_stages = 4;
  return {tile, is_wide && k > most_stages * step && cuda::tile_count(shape.m, shape.n, tile) > 1};
}

// The cases below and those of dense_kernels_test.cpp run every tile that is built, in both ways.
TYPED_TEST(DenseGradsTest, CasesTakeEveryTile) {
  using T = TypeParam;
  for (const bool allows_tf32 : {false, true}) {
    std::set<Way> forward, data_grad, weight_grad, built;
    for (Case c : cases()) {
      c.allows_tf32 = allows_tf32;
      const cuda::Device device = device_of(c);
      const auto math = cuda::product_math<T>(device);
      const auto choose = [&](const cuda::GemmShape& shape) {
        const auto choice = cuda::choose_product(shape, cuda::TileSet::kAll, math, device);
        return way_of<T>(shape, choice.tile, shape.k, c);
      };
      const DenseShape& s = c.shape;
      forward.insert(choose({s.B, s.O, s.I}));
      data_grad.insert(choose({s.B, s.I, s.O}));
      const auto choice = cuda::choose_weight_grad<T>(s, device);
      const auto [m, n] = s.weight_transposed ? std::pair{s.O, s.I} : std::pair{s.I, s.O};
      weight_grad.insert(way_of<T>({m, n, s.B}, choice.tile, choice.k_per_split, c));
      for (const cuda::TileSize size : cuda::kTileSizes) {
        if (has_tile(cuda::TileSet::kAll, math, size)) built.insert({{size, false}, {size, true}});
      }
    }
    EXPECT_EQ(forward, built);
    EXPECT_EQ(data_grad, built);
    EXPECT_EQ(weight_grad, built);
  }
}

TYPED_TEST(DenseGradsTest, DataGrad) {
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
    for_each_schedule(c, [&] {
      const DeviceArray<T> out(unwritten<T>(n), c.offset);
      run(DenseDataGrad<T>{s, c.activation, layer.target.data(), layer.weight.data(),
                           has_saved ? layer.x.data() : nullptr, out.data()},
          c);
      test::expect_close(out.read(), dx, bound, "dx");
    });
  });
}

TYPED_TEST(DenseGradsTest, WeightGrad) {
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
    for_each_schedule(c, [&] {
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
