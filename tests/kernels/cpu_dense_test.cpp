// The dense kernels of the CPU against the reference in double, and the promises of
// common/kernel.h: equal bits for any batch and any number of threads.
#include <memory>
#include <type_traits>

#include "kernels/compare.h"
#include "kernels/dense.h"

namespace diabolo::kernels {
namespace {

// An element that passes through a sum of n products of values up to `size`, an activation with
// slope at most `slope`, and one rounding to T of a value up to `out`.
template <class T>
double bound_of(int64_t n, double size, double slope, double out) {
  return slope * (static_cast<double>(n) + 8) * kFloatEps * (static_cast<double>(n) * size) +
         16 * kFloatEps * out + storage_eps<T>() * out;
}

template <class T>
class CpuDense : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* why = cpu::refusal(DenseForward<T>{}, cpu::detect_features());
    if (why) GTEST_SKIP() << why;
  }
};
using Types = ::testing::Types<float, Bf16>;
TYPED_TEST_SUITE(CpuDense, Types);

struct Extents {
  int64_t B, I, O;
};
constexpr Extents kExtents[] = {{1, 1, 1},   {3, 1, 5},    {5, 7, 1},     {2, 17, 31},
                                {7, 64, 33}, {33, 97, 64}, {300, 50, 20}, {1030, 24, 40}};

template <class T>
struct Layer {
  Layer(Extents e, bool transposed, uint32_t seed)
      : shape{e.B, e.I, e.O, transposed},
        x(random_values<T>(e.B * e.I, seed)),
        weight(random_values<T>(e.I * e.O, seed + 1)),
        bias(random_values<float>(e.O, seed + 2)),
        dz(random_values<T>(e.B * e.O, seed + 3)),
        saved(random_values<T>(e.B * e.I, seed + 4)),
        target(random_values<T>(e.B * e.O, seed + 5, 0, 1)) {}

  DenseShape shape;
  std::vector<T> x, weight;
  std::vector<float> bias;
  std::vector<T> dz, saved, target;
};

template <class T>
void check_forward(const Layer<T>& layer, Activation activation, bool with_z) {
  const DenseShape& s = layer.shape;
  auto y = unwritten<T>(s.B * s.O), z = unwritten<T>(s.B * s.O);
  run_call(DenseForward<T>{s, activation, layer.x.data(), layer.weight.data(), layer.bias.data(),
                           y.data(), with_z ? z.data() : nullptr});
  const auto x = widened(layer.x), w = widened(layer.weight), b = widened(layer.bias);
  std::vector<double> y_true(y.size()), z_true(y.size());
  dense_forward_reference(DenseForward<double>{s, activation, x.data(), w.data(), b.data(),
                                               y_true.data(), z_true.data()});
  for (size_t k = 0; k < y.size(); ++k) {
    const double bound = bound_of<T>(s.I + 1, 1, 1.2, std::abs(y_true[k]) + 1e-6);
    ASSERT_NEAR(to_double(y[k]), y_true[k], bound + 4 * kFloatEps) << k << name(activation);
    if (with_z) {
      ASSERT_NEAR(to_double(z[k]), z_true[k], bound_of<T>(s.I + 1, 1, 1, std::abs(z_true[k])));
    }
  }
}

TYPED_TEST(CpuDense, ForwardIsTheReference) {
  uint32_t seed = 1;
  for (const Extents& e : kExtents) {
    for (int a = 0; a < kActivationCount; ++a) {
      const Layer<TypeParam> layer(e, a % 2 == 1, seed++);
      check_forward(layer, static_cast<Activation>(a), a % 3 == 0);
    }
  }
}

template <class T>
void check_loss(const Layer<T>& layer, Activation activation, Loss loss) {
  const DenseShape& s = layer.shape;
  const float scale = 0.5f;
  auto dz = unwritten<T>(s.B * s.O);
  float value = 0, value_alone = 0;
  DenseLoss<T> call{s,
                    activation,
                    loss,
                    scale,
                    layer.x.data(),
                    layer.weight.data(),
                    layer.bias.data(),
                    layer.target.data(),
                    dz.data(),
                    &value};
  run_call(call);
  call.dz = nullptr;
  call.loss = &value_alone;
  run_call(call);
  EXPECT_EQ(value, value_alone);
  const auto x = widened(layer.x), w = widened(layer.weight), b = widened(layer.bias),
             t = widened(layer.target);
  std::vector<double> dz_true(dz.size());
  double true_value = 0;
  dense_loss_reference(DenseLoss<double>{s, activation, loss, scale, x.data(), w.data(), b.data(),
                                         t.data(), dz_true.data(), &true_value});
  const double share = scale / static_cast<double>(s.B * s.O);
  const double z_bound = bound_of<T>(s.I + 1, 1, 1, 0);
  EXPECT_NEAR(value, true_value, 1e-5 * std::abs(true_value) + 4 * z_bound * 2);
  for (size_t k = 0; k < dz.size(); ++k) {
    // d of the derivative by z is at most 2 (1 + |z|) for these losses away from kinks.
    const double reach = 4 * z_bound + 32 * kFloatEps;
    if (loss == Loss::kL1 || loss == Loss::kHuber) {
      if (std::abs(dz_true[k]) > 0.9 * share) continue;
    }
    ASSERT_NEAR(to_double(dz[k]), dz_true[k],
                share * reach * 4 + (storage_eps<T>() + 16 * kFloatEps) * std::abs(dz_true[k]))
        << k << name(activation) << name(loss);
  }
}

TYPED_TEST(CpuDense, LossIsTheReference) {
  uint32_t seed = 100;
  for (const Extents& e : kExtents) {
    for (int l = 0; l < kLossCount; ++l) {
      const Layer<TypeParam> layer(e, l % 2 == 1, seed++);
      check_loss(layer, Activation::kSigmoid, static_cast<Loss>(l));
    }
    check_loss(Layer<TypeParam>(e, false, seed++), Activation::kIdentity, Loss::kMse);
  }
}

// Three chunks of rows, each of several partial sums: none may be missing.
TYPED_TEST(CpuDense, LossOfManyRowsIsTheReference) {
  check_loss(Layer<TypeParam>({1100, 3, 201}, false, 99), Activation::kIdentity, Loss::kMse);
}

TYPED_TEST(CpuDense, ScoreIsTheReference) {
  using T = TypeParam;
  uint32_t seed = 200;
  for (const Extents& e : kExtents) {
    const Layer<T> layer(e, seed % 2 == 1, seed);
    ++seed;
    std::vector<float> score(e.B, std::nanf(""));
    run_call(DenseScore<T>{layer.shape, Activation::kSigmoid, layer.x.data(), layer.weight.data(),
                           layer.bias.data(), layer.target.data(), score.data()});
    const auto x = widened(layer.x), w = widened(layer.weight), b = widened(layer.bias),
               t = widened(layer.target);
    std::vector<double> score_true(score.size());
    dense_score_reference(DenseScore<double>{layer.shape, Activation::kSigmoid, x.data(), w.data(),
                                             b.data(), t.data(), score_true.data()});
    for (size_t k = 0; k < score.size(); ++k) {
      ASSERT_NEAR(score[k], score_true[k], bound_of<float>(e.I + 1, 1, 2, 1));
    }
  }
}

// Rows with a NaN, an infinity, and a number whose square f32 cannot hold; the others stay as they
// are.
TYPED_TEST(CpuDense, AScoreThatIsNotFiniteIsInfinite) {
  using T = TypeParam;
  Layer<T> layer({5, 3, 4}, false, 250);
  const auto score_of = [&] {
    std::vector<float> score(5, std::nanf(""));
    run_call(DenseScore<T>{layer.shape, Activation::kIdentity, layer.x.data(), layer.weight.data(),
                           layer.bias.data(), layer.target.data(), score.data()});
    return score;
  };
  std::vector<float> expected = score_of();
  layer.x[1 * 3 + 2] = narrow<T>(std::nanf(""));
  layer.x[2 * 3 + 0] = narrow<T>(INFINITY);
  layer.target[3 * 4 + 3] = narrow<T>(-3e38f);
  expected[1] = expected[2] = expected[3] = INFINITY;
  EXPECT_EQ(score_of(), expected);
}

template <class T>
void check_data_grad(const Layer<T>& layer, Activation activation, bool with_saved) {
  const DenseShape& s = layer.shape;
  auto dx = unwritten<T>(s.B * s.I);
  run_call(DenseDataGrad<T>{s, activation, layer.dz.data(), layer.weight.data(),
                            with_saved ? layer.saved.data() : nullptr, dx.data()});
  const auto dz = widened(layer.dz), w = widened(layer.weight), saved = widened(layer.saved);
  std::vector<double> dx_true(dx.size());
  dense_data_grad_reference(DenseDataGrad<double>{
      s, activation, dz.data(), w.data(), with_saved ? saved.data() : nullptr, dx_true.data()});
  for (size_t k = 0; k < dx.size(); ++k) {
    // |f'| <= 2.8 here: sigmoid and tanh take their slope from h, which these values reach past.
    ASSERT_NEAR(to_double(dx[k]), dx_true[k],
                bound_of<T>(s.O, 1, 2.8, std::abs(dx_true[k])) + 1e-7 * static_cast<double>(s.O))
        << k << name(activation);
  }
}

TYPED_TEST(CpuDense, DataGradientIsTheReference) {
  uint32_t seed = 300;
  for (const Extents& e : kExtents) {
    for (int a = 0; a < kActivationCount; ++a) {
      const Layer<TypeParam> layer(e, a % 2 == 1, seed++);
      check_data_grad(layer, static_cast<Activation>(a), a != 0);
    }
  }
}

template <class T>
void check_weight_grad(const Layer<T>& layer, bool accumulate) {
  const DenseShape& s = layer.shape;
  std::vector<float> d_weight(s.I * s.O, accumulate ? 0.5f : std::nanf(""));
  std::vector<float> d_bias(s.O, accumulate ? 0.25f : std::nanf(""));
  run_call(DenseWeightGrad<T>{s, accumulate, accumulate, layer.x.data(), layer.dz.data(),
                              d_weight.data(), d_bias.data()});
  const auto x = widened(layer.x), dz = widened(layer.dz);
  std::vector<double> d_weight_true(d_weight.size(), 0.5), d_bias_true(d_bias.size(), 0.25);
  dense_weight_grad_reference(DenseWeightGrad<double>{
      s, accumulate, accumulate, x.data(), dz.data(), d_weight_true.data(), d_bias_true.data()});
  const double bound = bound_of<float>(s.B + 1, 1, 1, 1);
  for (size_t k = 0; k < d_weight.size(); ++k) ASSERT_NEAR(d_weight[k], d_weight_true[k], bound);
  for (size_t k = 0; k < d_bias.size(); ++k) ASSERT_NEAR(d_bias[k], d_bias_true[k], bound);
}

TYPED_TEST(CpuDense, WeightGradientIsTheReference) {
  uint32_t seed = 400;
  for (const Extents& e : kExtents) {
    for (int mode = 0; mode < 4; ++mode) {
      check_weight_grad(Layer<TypeParam>(e, mode % 2 == 1, seed++), mode >= 2);
    }
  }
}

// On this CPU, and on one like it without AVX-512 (f32 alone runs there).
template <class T>
std::vector<cpu::CpuFeatures> machines() {
  const cpu::CpuFeatures all = cpu::detect_features(1);
  if constexpr (std::is_same_v<T, Bf16>) return {all};
  return {all, {all.has_avx2, false, false, 1}};
}

TYPED_TEST(CpuDense, ARowDoesNotDependOnItsBatchOrOnThreads) {
  using T = TypeParam;
  constexpr Extents kLayers[] = {{600, 784, 512}, {600, 256, 32}, {600, 32, 256},
                                 {600, 3000, 16}, {600, 19, 1},   {600, 129, 300}};
  for (cpu::CpuFeatures features : machines<T>()) {
    for (const Extents& e : kLayers) {
      for (const bool transposed : {false, true}) {
        const Layer<T> layer(e, transposed, 7);
        std::vector<T> whole(e.B * e.O);
        DenseForward<T> call{
            layer.shape,       Activation::kTanh, layer.x.data(), layer.weight.data(),
            layer.bias.data(), whole.data(),      nullptr};
        features.threads = 1;
        run_call(call, features);
        for (const int64_t rows : {1, 3, 31, 256, 513}) {
          features.threads = 1 + static_cast<int>(rows % 2);
          std::vector<T> part(rows * e.O);
          call.shape.B = rows;
          call.y = part.data();
          run_call(call, features);
          ASSERT_EQ(std::memcmp(part.data(), whole.data(), part.size() * sizeof(T)), 0)
              << e.I << 'x' << e.O << " rows " << rows << " transposed " << transposed;
        }
      }
    }
  }
}

// A layer whose weights no cache holds is computed in blocks, which few rows share out to threads.
TYPED_TEST(CpuDense, ARowOfALargeLayerDoesNotDependOnItsBatchOrOnThreads) {
  using T = TypeParam;
  cpu::CpuFeatures features = cpu::detect_features(1);
  const Layer<T> layer({45, 4200, 2100}, false, 7);
  const int64_t O = layer.shape.O;
  std::vector<T> whole(45 * O);
  DenseForward<T> call{
      layer.shape,       Activation::kIdentity, layer.x.data(), layer.weight.data(),
      layer.bias.data(), whole.data(),          nullptr};
  run_call(call, features);
  for (int64_t o = 0; o < O; o += 500) {
    double expected = layer.bias[static_cast<size_t>(o)];
    for (int64_t i = 0; i < layer.shape.I; ++i)
      expected += to_double(layer.x[static_cast<size_t>(i)]) *
                  to_double(layer.weight[static_cast<size_t>(i * O + o)]);
    EXPECT_NEAR(to_double(whole[static_cast<size_t>(o)]), expected,
                1e-3 + storage_eps<T>() * std::abs(expected));
  }
  for (const int64_t rows : {1, 3, 32, 33, 45}) {
    for (features.threads = 1; features.threads <= 3; ++features.threads) {
      std::vector<T> part(static_cast<size_t>(rows * O));
      call.shape.B = rows;
      call.y = part.data();
      run_call(call, features);
      ASSERT_EQ(std::memcmp(part.data(), whole.data(), part.size() * sizeof(T)), 0)
          << "rows " << rows << " threads " << features.threads;
    }
  }
}

}  // namespace
}  // namespace diabolo::kernels
