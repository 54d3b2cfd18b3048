// Norm, penalty, update and advance of the CPU path against the references; void steps.
#include "kernels/compare.h"
#include "kernels/optimizer.h"
#include "kernels/penalty.h"

namespace diabolo::kernels {
namespace {

constexpr int64_t kLengths[] = {1, 7, 64, 8191, 8193, 20011};

TEST(CpuSums, NormAndPenaltyAreTheReference) {
  for (const int64_t n : kLengths) {
    const auto w = random_values<float>(n, 1);
    const auto w_true = widened(w);
    double norm_true = 0, loss_true = 0;
    global_norm_reference(GlobalNorm<double>{n, w_true.data(), &norm_true});
    l2_penalty_reference(L2Penalty<double>{n, 0.25f, w_true.data(), &loss_true});
    float first_norm = 0;
    for (const int threads : {1, 2, 3}) {
      float norm = std::nanf(""), loss = std::nanf("");
      run_call(GlobalNorm<float>{n, w.data(), &norm}, threads);
      run_call(L2Penalty<float>{n, 0.25f, w.data(), &loss}, threads);
      // A chunk's sum goes over 64 lanes: 8192 / 64 additions, six folds, a few roundings more.
      EXPECT_NEAR(norm, norm_true, (8192 / 64 + 12) * kFloatEps * norm_true);
      EXPECT_NEAR(loss, loss_true, (8192 / 64 + 12) * kFloatEps * loss_true);
      if (threads == 1) first_norm = norm;
      EXPECT_EQ(norm, first_norm);
    }
  }
}

TEST(CpuSums, PenaltyGradientIsTheReferenceBitForBit) {
  for (const bool accumulate : {false, true}) {
    const auto w = random_values<float>(8193, 1), before = random_values<float>(8193, 2);
    auto d = before, expected = before;
    run_call(L2PenaltyGrad<float>{8193, 0.1f, accumulate, w.data(), d.data()}, 2);
    l2_penalty_grad_reference(
        L2PenaltyGrad<float>{8193, 0.1f, accumulate, w.data(), expected.data()});
    EXPECT_TRUE(same_bits(d, expected));
  }
}

// Everything that an update changes.
struct Parameters {
  explicit Parameters(int64_t n)
      : master(random_values<float>(n, 1)),
        m(random_values<float>(n, 2)),
        v(random_values<float>(n, 3, 0, 1)),
        low(static_cast<size_t>(n)) {}
  bool operator==(const Parameters& other) const {
    return same_bits(master, other.master) && same_bits(m, other.m) && same_bits(v, other.v) &&
           same_bits(low, other.low);
  }
  std::vector<float> master, m, v;
  std::vector<Bf16> low;
};

OptimizerStep<float> step_of(Parameters& now, const OptimizerRule& rule, const StepState& state,
                             const float* loss, const float* norm, const float* grad) {
  const bool is_sgd = rule.kind == Optimizer::kSgd;
  return {static_cast<int64_t>(now.master.size()),
          rule,
          &state,
          loss,
          norm,
          grad,
          now.master.data(),
          is_sgd && rule.momentum == 0 ? nullptr : now.m.data(),
          is_sgd ? nullptr : now.v.data(),
          now.low.data()};
}

constexpr OptimizerRule kRules[] = {
    {Optimizer::kAdam, 0.9f, 0.999f, 1e-8f, 0, 0, 0},
    {Optimizer::kAdam, 0.9f, 0.999f, 1e-8f, 0.01f, 0, 1},
    {Optimizer::kAdamW, 0.9f, 0.99f, 1e-6f, 0.1f, 0, 0},
    {Optimizer::kSgd, 0.9f, 0.999f, 1e-8f, 0.01f, 0, 0},
    {Optimizer::kSgd, 0.9f, 0.999f, 1e-8f, 0, 0.9f, 1},
};

TEST(CpuOptimizer, IsTheReferenceBitForBitOnEveryInstructionSet) {
  const StepState state{1, 4, 0, 0, 0, {1e-3f, 0.4f, 0.06f, 0}};
  const float loss = 1, norm = 3;
  const cpu::CpuFeatures all = cpu::detect_features(2);
  for (const OptimizerRule& rule : kRules) {
    for (const int64_t n : kLengths) {
      const auto grad = random_values<float>(n, 4);
      const float* clip = rule.clip_norm > 0 ? &norm : nullptr;
      Parameters expected(n);
      optimizer_reference(step_of(expected, rule, state, &loss, clip, grad.data()));
      for (const bool avx2 : {false, all.has_avx2}) {
        for (const bool avx512 : {false, avx2 && all.has_avx512}) {
          Parameters now(n);
          run_call(step_of(now, rule, state, &loss, clip, grad.data()),
                   cpu::CpuFeatures{avx2, avx512, false, 2});
          EXPECT_TRUE(now == expected) << static_cast<int>(rule.kind) << ' ' << n;
        }
      }
    }
  }
}

TEST(CpuOptimizer, AVoidStepChangesNothing) {
  const auto grad = random_values<float>(100, 4);
  const float nan = std::nanf(""), one = 1;
  StepState halted{};
  halted.halt = 1;
  const StepState fine{};
  Parameters now(100);
  const Parameters before(100);
  run_call(step_of(now, kRules[1], fine, &nan, &one, grad.data()));
  EXPECT_TRUE(now == before);
  run_call(step_of(now, kRules[1], fine, &one, &nan, grad.data()));
  EXPECT_TRUE(now == before);
  run_call(step_of(now, kRules[1], halted, &one, &one, grad.data()));
  EXPECT_TRUE(now == before);
  run_call(step_of(now, kRules[1], fine, &one, &one, grad.data()));
  EXPECT_FALSE(now == before);
}

TEST(CpuStep, TermsAreAddedAndTheStateMovesOn) {
  const float a = 1, b = 2;
  float total = 0;
  SumTerms<float> sum;
  sum.count = 2;
  sum.terms[0] = &a;
  sum.terms[1] = &b;
  sum.total = &total;
  run_call(sum);
  EXPECT_EQ(total, 3);

  std::vector<StepScalars> scalars(kStepSlots);
  std::vector<float> losses(kStepSlots);
  StepState state{};
  state.step = kStepSlots - 1;
  scalars[0].learning_rate = 0.5f;
  run_call(Advance{32, &state, scalars.data(), &total, nullptr, losses.data()});
  EXPECT_EQ(state.step, kStepSlots);
  EXPECT_EQ(state.batch_row, 32u);
  EXPECT_EQ(state.scalars.learning_rate, 0.5f);
  EXPECT_EQ(losses[kStepSlots - 1], 3);
}

}  // namespace
}  // namespace diabolo::kernels
