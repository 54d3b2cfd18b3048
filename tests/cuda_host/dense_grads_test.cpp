// The dense CUDA kernels in the harness, against the double reference with its derived bound, on
// three schedules: gradients.
#include <cstring>
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

bool same_product(const cuda::ProductChoice& a, const cuda::ProductChoice& b) {
  return a.tile == b.tile && a.splits == b.splits && a.k_per_split == b.k_per_split;
}

// What both gradients of a layer are made of, and what two launches, or one, make of it.
template <class T>
struct Grads {
  Grads(const Case& the_case, const Layer<T>& layer)
      : c(the_case),
        dx(unwritten<T>(layer.x.size()), c.offset),
        d_weight(unwritten<float>(layer.weight.size()), c.offset),
        d_bias(unwritten<float>(layer.bias.size()), c.offset),
        weight{.shape = c.shape,
               .x = layer.x.data(),
               .dz = layer.target.data(),
               .d_weight = d_weight.data(),
               .d_bias = d_bias.data(),
               .is_joined = true},
        data{c.shape, c.activation, weight.dz, layer.weight.data(), layer.x.data(), dx.data()},
        scratch(std::vector<unsigned char>(scratch_bytes(weight, device_of(c)), 0xFF)) {}

  void run_two() {
    run(weight, c);
    run(data, c);
  }
  void run_one() {
    const Launch launch = prepare_joined(weight, data, device_of(c), scratch.data());
    test::run_on_device([&](void* stream) { launch(stream); });
  }

  const Case& c;
  DeviceArray<T> dx;
  DeviceArray<float> d_weight, d_bias;
  DenseWeightGrad<T> weight;
  DenseDataGrad<T> data;
  DeviceArray<unsigned char> scratch;
};

// One launch has the bits of two with its tile and cut, in every tile that is built; of those that
// are chosen apart it has those of dx, and of the weight where that comes to the same.
TYPED_TEST(DenseGradsTest, InOneLaunch) {
  using T = TypeParam;
  std::set<cuda::TileSize> taken, built;
  int same = 0, others = 0;
  std::vector<Case> all = cases();
  // Deep enough to be cut; whole large tiles, which f32 takes where nothing of them is empty.
  for (const auto& [shape, multiprocessors] :
       {std::pair{DenseShape{2000, 33, 7}, 1000}, {DenseShape{128, 256, 128, true}, 4}}) {
    Case more;
    more.shape = shape;
    more.multiprocessors = multiprocessors;
    all.push_back(more);
  }
  for (const Case& c : all) {
    SCOPED_TRACE(text(c));
    const auto math = cuda::product_math<T>(device_of(c));
    taken.insert(cuda::choose_dense_grads(c.shape, math, device_of(c), false).tile);
    for (const cuda::TileSize size : cuda::kTileSizes)
      if (has_tile(cuda::TileSet::kAll, math, size)) built.insert(size);
    const Layer<T> layer(c, this->random_);
    Grads<T> two(c, layer);
    two.run_two();
    Grads<T> apart(c, layer);
    apart.weight.is_joined = false;
    apart.run_two();
    EXPECT_TRUE(widened(apart.dx.read()) == widened(two.dx.read())) << "dx apart";
    const bool is_same =
        same_product(choice_of(apart.weight, device_of(c)), choice_of(two.weight, device_of(c)));
    ++(is_same ? same : others);
    if (is_same) {
      EXPECT_TRUE(apart.d_weight.read() == two.d_weight.read()) << "d_weight apart";
      EXPECT_TRUE(apart.d_bias.read() == two.d_bias.read()) << "d_bias apart";
    }
    for_each_schedule(c, [&] {
      Grads<T> one(c, layer);
      one.run_one();
      EXPECT_TRUE(widened(one.dx.read()) == widened(two.dx.read())) << "dx";
      EXPECT_TRUE(one.d_weight.read() == two.d_weight.read()) << "d_weight";
      EXPECT_TRUE(one.d_bias.read() == two.d_bias.read()) << "d_bias";
    });
  }
  EXPECT_EQ(taken, built);
  EXPECT_GT(same, 0);
  EXPECT_GT(others, 0);
}

std::vector<float> sum_of(const Parts& parts, const DeviceArray<unsigned char>& scratch) {
  const std::vector<unsigned char> bytes = scratch.read();
  const auto* first = reinterpret_cast<const unsigned char*>(parts.parts);
  std::vector<float> sum(static_cast<std::size_t>(parts.elems));
  for (std::size_t k = 0; k < sum.size() * static_cast<std::size_t>(parts.count); ++k) {
    float part;
    const auto at = static_cast<std::size_t>(first - scratch.data()) + k * sizeof part;
    std::memcpy(&part, bytes.data() + at, sizeof part);
    sum[k % sum.size()] += part;
  }
  return sum;
}

// Parts that are left to their reader, added in their order, have the bits of the sums that a call
// with the same cut adds up itself; the sums stay as they were then. Nothing can be added to them.
TYPED_TEST(DenseGradsTest, LeavesParts) {
  using T = TypeParam;
  Case c;
  c.shape = {4000, 33, 7};
  c.multiprocessors = 1000;
  const Layer<T> layer(c, this->random_);
  for (const bool is_joined : {false, true}) {
    Grads<T> left(c, layer);
    left.weight.is_joined = is_joined;
    left.weight.leaves_parts = true;
    const DeviceArray<unsigned char> scratch(
        std::vector<unsigned char>(scratch_bytes(left.weight, device_of(c)), 0xFF));
    const std::vector<Parts> parts = cuda::parts(left.weight, device_of(c), scratch.data());
    ASSERT_EQ(parts.size(), 2U);
    EXPECT_GT(parts[0].count, 1);
    EXPECT_EQ(parts[0].sum, left.weight.d_weight);
    EXPECT_EQ(parts[1].sum, left.weight.d_bias);
    const std::vector<float> before = left.d_weight.read();
    const Launch launch = is_joined
                              ? prepare_joined(left.weight, left.data, device_of(c), scratch.data())
                              : prepare(left.weight, device_of(c), scratch.data());
    test::run_on_device([&](void* stream) { launch(stream); });
    EXPECT_EQ(std::memcmp(left.d_weight.read().data(), before.data(), before.size() * 4), 0);
    Grads<T> added(c, layer);
    added.weight.is_joined = is_joined;
    ASSERT_TRUE(
        same_product(choice_of(added.weight, device_of(c)), choice_of(left.weight, device_of(c))));
    run(added.weight, c);
    EXPECT_TRUE(sum_of(parts[0], scratch) == added.d_weight.read()) << "d_weight";
    EXPECT_TRUE(sum_of(parts[1], scratch) == added.d_bias.read()) << "d_bias";
    left.weight.accumulates_bias = true;
    EXPECT_THROW(prepare(left.weight, device_of(c), scratch.data()), std::logic_error);
  }
}

}  // namespace
}  // namespace diabolo
