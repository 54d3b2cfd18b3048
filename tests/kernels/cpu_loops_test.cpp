// The own loops of the CPU path against the references in double; the same bits for any number of
// threads and on every instruction set that this machine has.
#include <functional>

#include "kernels/activation_grad.h"
#include "kernels/add.h"
#include "kernels/compare.h"
#include "kernels/cpu/passes.h"
#include "kernels/gather.h"
#include "kernels/loss.h"
#include "kernels/noise.h"
#include "kernels/score.h"

namespace diabolo::kernels {
namespace {

// One and a bit of everything: a single element, around a block (512), around a chunk (8192).
constexpr int64_t kLengths[] = {1, 7, 511, 512, 513, 8191, 8192, 8193, 20011};

std::vector<cpu::CpuFeatures> ways_to_run() {
  const cpu::CpuFeatures all = cpu::detect_features(2);
  std::vector<cpu::CpuFeatures> ways = {{false, false, false, 1}};
  if (all.has_avx2) ways.push_back({true, false, false, 1});
  if (all.has_avx512) ways.push_back({true, true, all.has_bf16, 1});
  ways.push_back(all);
  return ways;
}

// Runs `run` on every way and gives the result of the first; all must be equal, bit for bit.
template <class T>
std::vector<T> run_every_way(const std::function<std::vector<T>(cpu::CpuFeatures)>& run) {
  std::vector<T> first;
  for (const cpu::CpuFeatures& way : ways_to_run()) {
    std::vector<T> result = run(way);
    if (first.empty()) first = result;
    EXPECT_TRUE(same_bits(result, first))
        << way.threads << " threads, avx2 " << way.has_avx2 << ", avx512 " << way.has_avx512;
  }
  return first;
}

template <class T>
class CpuLoops : public ::testing::Test {};
using Types = ::testing::Types<float, Bf16>;
TYPED_TEST_SUITE(CpuLoops, Types);

TYPED_TEST(CpuLoops, AddIsTheReference) {
  using T = TypeParam;
  for (const int64_t n : kLengths) {
    const auto a = random_values<T>(n, 1), b = random_values<T>(n, 2);
    const auto y = run_every_way<T>([&](cpu::CpuFeatures way) {
      auto out = a;  // in place
      run_call(Add<T>{n, out.data(), b.data(), out.data()}, way);
      return out;
    });
    std::vector<T> expected(n);
    add_reference(Add<T>{n, a.data(), b.data(), expected.data()});
    EXPECT_TRUE(same_bits(y, expected));
  }
}

// Each bf16 there is: what the float ReLU makes of it.
TEST(CpuRelu, IsTheReferenceOnTheBits) {
  std::vector<Bf16> all(65536);
  for (size_t k = 0; k < all.size(); ++k) all[k] = {static_cast<uint16_t>(k)};
  const auto y = run_every_way<Bf16>([&](cpu::CpuFeatures way) {
    auto out = all;  // in place
    const auto n = static_cast<int64_t>(out.size());
    cpu::relu(cpu::Team(way, n, cpu::pass_cost::kCurve), out.data(), out.data(), n);
    return out;
  });
  for (size_t k = 0; k < all.size(); ++k) {
    const float expected = Relu::forward(to_float(all[k]));
    if (std::isnan(expected)) {
      ASSERT_EQ(y[k].bits, all[k].bits);
    } else {
      ASSERT_EQ(y[k].bits, to_bf16(expected).bits) << k;
    }
  }
}

TYPED_TEST(CpuLoops, ActivationGradIsTheReference) {
  using T = TypeParam;
  for (int a = 0; a < kActivationCount; ++a) {
    const auto activation = static_cast<Activation>(a);
    for (const int64_t n : kLengths) {
      const auto dy = random_values<T>(n, 1), saved = random_values<T>(n, 2, -2, 2);
      const auto dz = run_every_way<T>([&](cpu::CpuFeatures way) {
        auto out = dy;
        run_call(ActivationGrad<T>{n, activation, out.data(), saved.data(), out.data()}, way);
        return out;
      });
      const auto dy_true = widened(dy), saved_true = widened(saved);
      std::vector<double> expected(n);
      activation_grad_reference(ActivationGrad<double>{n, activation, dy_true.data(),
                                                       saved_true.data(), expected.data()});
      for (int64_t k = 0; k < n; ++k) {
        // Terms of the derivatives stay below 4 here; a dozen roundings of each.
        ASSERT_NEAR(to_double(dz[k]), expected[k],
                    4 * 16 * kFloatEps + storage_eps<T>() * std::abs(expected[k]))
            << name(activation) << k;
      }
    }
  }
}

template <class T>
void check_loss(Activation activation, Loss loss, int64_t n) {
  const auto z = random_values<T>(n, 1, -3, 3), target = random_values<T>(n, 2, 0, 1);
  float value = 0;
  const auto dz = run_every_way<T>([&](cpu::CpuFeatures way) {
    auto out = z;
    float now = std::nanf("");
    run_call(LossOf<T>{n, activation, loss, 2.0f, out.data(), target.data(), out.data(), &now},
             way);
    if (way.threads > 1) {
      EXPECT_EQ(now, value);
    }
    value = now;
    float alone = std::nanf("");
    run_call(LossOf<T>{n, activation, loss, 2.0f, z.data(), target.data(), nullptr, &alone}, way);
    EXPECT_EQ(alone, value);
    return out;
  });
  const auto z_true = widened(z), t_true = widened(target);
  std::vector<double> expected(n);
  double expected_value = 0;
  loss_reference(LossOf<double>{n, activation, loss, 2.0f, z_true.data(), t_true.data(),
                                expected.data(), &expected_value});
  // Elements and their sum are rounded a few dozen times each; the sum runs over lanes.
  EXPECT_NEAR(value, expected_value, 300 * kFloatEps * std::abs(expected_value) + 32 * kFloatEps);
  for (int64_t k = 0; k < n; ++k) {
    const double step = 2.0 / static_cast<double>(n);
    ASSERT_NEAR(to_double(dz[k]), expected[k],
                step * 8 * 32 * kFloatEps + storage_eps<T>() * std::abs(expected[k]))
        << name(activation) << name(loss) << k;
  }
}

TYPED_TEST(CpuLoops, LossIsTheReference) {
  for (int l = 0; l < kLossCount; ++l) {
    for (const int64_t n : kLengths) {
      check_loss<TypeParam>(Activation::kSigmoid, static_cast<Loss>(l), n);
    }
    for (int a = 0; a < kActivationCount; ++a) {
      check_loss<TypeParam>(static_cast<Activation>(a), static_cast<Loss>(l), 1000);
    }
  }
}

TYPED_TEST(CpuLoops, DropoutIsTheReferenceBitForBit) {
  using T = TypeParam;
  const StepState state{5, 9, 0, 0, 0, {}};
  for (const int64_t D : {1, 3, 4, 17, 784, 1030}) {
    const int64_t B = 37;
    const auto x = random_values<T>(B * D, 3);
    Dropout<T> call{B, D, 0.3f, RandomPurpose::kDropout, &state, x.data(), nullptr};
    const auto y = run_every_way<T>([&](cpu::CpuFeatures way) {
      auto out = unwritten<T>(B * D);
      call.y = out.data();
      run_call(call, way);
      return out;
    });
    std::vector<T> expected(B * D);
    call.y = expected.data();
    dropout_reference(call);
    EXPECT_TRUE(same_bits(y, expected)) << D;
  }
}

TYPED_TEST(CpuLoops, CorruptionIsTheReference) {
  using T = TypeParam;
  const StepState state{5, 9, 0, 0, 0, {}};
  for (const Corruption kind : {Corruption::kMasking, Corruption::kGaussian}) {
    for (const int64_t D : {1, 3, 4, 17, 784, 1030}) {
      const int64_t B = 37;
      const auto x = random_values<T>(B * D, 3);
      Corrupt<T> call{B,      D,        kind,   0.4f, -0.9f, 0.9f, RandomPurpose::kCorruption,
                      &state, x.data(), nullptr};
      const auto y = run_every_way<T>([&](cpu::CpuFeatures way) {
        auto out = unwritten<T>(B * D);
        call.y = out.data();
        run_call(call, way);
        return out;
      });
      std::vector<T> expected(B * D);
      call.y = expected.data();
      corrupt_reference(call);
      EXPECT_TRUE(same_bits(y, expected)) << D;
    }
  }
}

template <class Source, class T>
void check_gather(const std::vector<Source>& source, int64_t N, int64_t D) {
  const int64_t B = 5;
  const auto shift = random_values<float>(D, 4), scale = random_values<float>(D, 5);
  const std::vector<uint32_t> order = {3, 0, 0, 6, 99, 2, 1};  // 99 is no row
  StepState state{};
  state.batch_row = 3;  // so the batch runs past the end of the order
  for (const bool is_ordered : {true, false}) {
    Gather<Source, T> call{N,
                           B,
                           D,
                           source.data(),
                           is_ordered ? order.data() : nullptr,
                           &state,
                           shift.data(),
                           scale.data(),
                           nullptr};
    const auto out = run_every_way<T>([&](cpu::CpuFeatures way) {
      auto batch = unwritten<T>(B * D);
      call.out = batch.data();
      run_call(call, way);
      return batch;
    });
    std::vector<T> expected(B * D);
    call.out = expected.data();
    gather_reference(call);
    for (size_t k = 0; k < out.size(); ++k) {
      const double want = to_double(expected[k]);
      if (std::isnan(want)) {
        EXPECT_TRUE(std::isnan(to_double(out[k])));
      } else {
        EXPECT_EQ(to_double(out[k]), want);
      }
    }
  }
}

TYPED_TEST(CpuLoops, GatherIsTheReferenceBitForBit) {
  for (const int64_t D : {1, 17, 784}) {
    const int64_t N = 7;
    std::vector<uint8_t> bytes(N * D);
    for (size_t k = 0; k < bytes.size(); ++k) bytes[k] = static_cast<uint8_t>(k * 37);
    check_gather<uint8_t, TypeParam>(bytes, N, D);
    check_gather<float, TypeParam>(random_values<float>(N * D, 6), N, D);
  }
}

TYPED_TEST(CpuLoops, RowScoreIsTheReference) {
  using T = TypeParam;
  for (const int64_t D : {1, 5, 33, 784, 1500}) {
    for (const int64_t M : {int64_t{0}, int64_t{1}, std::min<int64_t>(D, kMaxWorst)}) {
      const int64_t B = 19;
      auto y = random_values<T>(B * D, 7), target = random_values<T>(B * D, 8);
      for (int64_t k = 0; k + 3 < B * D; k += 4)
        y[k + 3] = y[k], target[k + 3] = target[k];  // ties
      std::vector<uint32_t> index(B * M);
      std::vector<float> error(B * M);
      const auto score = run_every_way<float>([&](cpu::CpuFeatures way) {
        auto out = unwritten<float>(B);
        run_call(
            RowScore<T>{B, D, M, y.data(), target.data(), out.data(), index.data(), error.data()},
            way);
        return out;
      });
      std::vector<float> score_same(B), error_same(B * M);
      std::vector<uint32_t> index_same(B * M);
      row_score_reference(RowScore<T>{B, D, M, y.data(), target.data(), score_same.data(),
                                      index_same.data(), error_same.data()});
      EXPECT_EQ(index, index_same);
      EXPECT_EQ(error, error_same);
      for (int64_t b = 0; b < B; ++b) {
        EXPECT_NEAR(score[b], score_same[b],
                    static_cast<double>(D + 4) * kFloatEps * score_same[b]);
      }
    }
  }
}

// All that is not finite counts as +inf, and ties go to the lower feature: in the fast kernel and
// in the reference.
TEST(CpuRowScore, WhatIsNotFiniteIsInfiniteAndTheWorst) {
  const std::vector<float> y = {-INFINITY, 1, 3, 3e38f, std::nanf(""), INFINITY, 3, 0};
  const std::vector<float> target(8, 0.0f);
  const std::vector<uint32_t> order = {0, 3, 4, 5, 2, 6, 1, 7};
  const std::vector<float> errors = {INFINITY, INFINITY, INFINITY, INFINITY, 9, 9, 1, 0};
  for (int64_t worst = 1; worst <= 8; ++worst) {
    for (const bool is_reference : {false, true}) {
      float score = 0;
      std::vector<uint32_t> index(worst);
      std::vector<float> error(worst);
      const RowScore<float> call{
          1, 8, worst, y.data(), target.data(), &score, index.data(), error.data()};
      if (is_reference)
        row_score_reference(call);
      else
        run_call(call);
      EXPECT_EQ(score, INFINITY);
      EXPECT_EQ(index, std::vector<uint32_t>(order.begin(), order.begin() + worst));
      EXPECT_EQ(error, std::vector<float>(errors.begin(), errors.begin() + worst));
    }
  }
}

}  // namespace
}  // namespace diabolo::kernels
