// The promises of the CPU's dense kernels beside their numbers, which the ladder holds: equal bits
// for any batch and any number of threads (common/kernel.h).
#include <memory>
#include <type_traits>

#include "kernels/compare.h"
#include "kernels/dense.h"

namespace diabolo::kernels {
namespace {

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

template <class T>
struct Layer {
  Layer(Extents e, bool transposed, uint32_t seed)
      : shape{e.B, e.I, e.O, transposed},
        x(random_values<T>(e.B * e.I, seed)),
        weight(random_values<T>(e.I * e.O, seed + 1)),
        bias(random_values<float>(e.O, seed + 2)),
        target(random_values<T>(e.B * e.O, seed + 5, 0, 1)) {}

  DenseShape shape;
  std::vector<T> x, weight;
  std::vector<float> bias;
  std::vector<T> target;
};

// Validation asks for the loss alone.
TYPED_TEST(CpuDense, ALossIsTheSameWithoutItsGradient) {
  using T = TypeParam;
  const Layer<T> layer({1030, 24, 40}, false, 100);
  auto dz = unwritten<T>(layer.shape.B * layer.shape.O);
  float value = 0, value_alone = 0;
  DenseLoss<T> call{
      layer.shape,         Activation::kSigmoid, Loss::kMse,          0.5f,      layer.x.data(),
      layer.weight.data(), layer.bias.data(),    layer.target.data(), dz.data(), &value};
  run_call(call);
  call.dz = nullptr;
  call.loss = &value_alone;
  run_call(call);
  EXPECT_EQ(value, value_alone);
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
