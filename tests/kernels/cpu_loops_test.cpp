// What the cases of src/selftest do not see of the CPU's own loops: every bf16 there is, and what
// kernel and reference, being the same code or the same rule, could both get wrong.
#include "kernels/compare.h"
#include "kernels/cpu/passes.h"
#include "kernels/optimizer.h"
#include "kernels/score.h"

namespace diabolo::kernels {
namespace {

std::vector<cpu::CpuFeatures> ways_to_run() {
  const cpu::CpuFeatures all = cpu::detect_features(2);
  std::vector<cpu::CpuFeatures> ways = {{false, false, false, 1}};
  if (all.has_avx2) ways.push_back({true, false, false, 1});
  if (all.has_avx512) ways.push_back({true, true, all.has_bf16, 1});
  ways.push_back(all);
  return ways;
}

// Each bf16 there is: what the float ReLU makes of it.
TEST(CpuRelu, IsTheReferenceOnTheBits) {
  std::vector<Bf16> all(65536);
  for (size_t k = 0; k < all.size(); ++k) all[k] = {static_cast<uint16_t>(k)};
  for (const cpu::CpuFeatures& way : ways_to_run()) {
    auto y = all;  // in place
    const auto n = static_cast<int64_t>(y.size());
    cpu::relu(cpu::Team(way, n, cpu::pass_cost::kCurve), y.data(), y.data(), n);
    for (size_t k = 0; k < all.size(); ++k) {
      const float expected = Relu::forward(to_float(all[k]));
      const uint16_t bits = std::isnan(expected) ? all[k].bits : to_bf16(expected).bits;
      ASSERT_EQ(y[k].bits, bits) << k;
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
