// The CUDA kernels over all parameters at once and those that end a step, in the harness, against
// their references: lengths around the quad and the block, misaligned bases, three schedules.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "cuda_host/compare.h"
#include "cuda_host/device_array.h"
#include "cuda_host/kernel_run.h"
#include "kernels/optimizer.h"
#include "kernels/penalty.h"
#include "selftest/tracked.h"

namespace diabolo {
namespace {

using namespace kernels;  // NOLINT: the records and references under test
using test::DeviceArray;
using test::for_each_length;
using test::for_each_schedule;
using test::kEps;
using test::kLengths;
using test::kSumLengths;
using test::random_values;
using test::run_kernel;
using test::unwritten;
using test::widened;

class TrainingKernelsTest : public ::testing::Test {
 protected:
  void SetUp() override { test::skip_or_fail_without_device(); }
  std::mt19937 random_{5};
};

TEST_F(TrainingKernelsTest, NormAndPenalty) {
  for_each_length(kSumLengths, [&](std::size_t n, std::size_t offset) {
    const DeviceArray<float> x(random_values<float>(n, random_), offset), out(unwritten<float>(1));
    const std::vector<double> wide = widened(x.read());
    const auto length = static_cast<int64_t>(n);
    double norm = 0, loss = 0;
    global_norm_reference(GlobalNorm<double>{length, wide.data(), &norm});
    l2_penalty_reference(L2Penalty<double>{length, 0.25f, wide.data(), &loss});
    const double relative = static_cast<double>(n + 2) * kEps;
    run_kernel(GlobalNorm<float>{length, x.data(), out.data()});
    test::expect_close(out.read(), {norm}, {relative * norm}, "norm");
    run_kernel(L2Penalty<float>{length, 0.25f, x.data(), out.data()});
    test::expect_close(out.read(), {loss}, {relative * loss}, "penalty");
    for (const bool accumulate : {false, true}) {
      const std::vector<float> old = random_values<float>(n, random_);
      const DeviceArray<float> grad(accumulate ? old : unwritten<float>(n), offset);
      std::vector<float> expected = old;
      const std::vector<float> weight = x.read();
      l2_penalty_grad_reference(
          L2PenaltyGrad<float>{length, 0.25f, accumulate, weight.data(), expected.data()});
      run_kernel(L2PenaltyGrad<float>{length, 0.25f, accumulate, x.data(), grad.data()});
      EXPECT_EQ(grad.read(), expected);
    }
  });
}

TEST_F(TrainingKernelsTest, SumTerms) {
  const DeviceArray<float> a(std::vector<float>{1.5f}), b(std::vector<float>{-4.0f}),
      out(unwritten<float>(1));
  SumTerms<float> p;
  p.count = 2;
  p.terms[0] = a.data();
  p.terms[1] = b.data();
  p.total = out.data();
  run_kernel(p);
  EXPECT_EQ(out.read()[0], -2.5f);
}

// One training state for the optimizer tests, on the device.
struct Blobs {
  Blobs(std::size_t n, std::size_t offset, std::mt19937& random)
      : grad(random_values<float>(n, random), offset),
        master(random_values<float>(n, random), offset),
        m(random_values<float>(n, random, 0.1), offset),
        v(squares(random_values<float>(n, random, 0.1)), offset),
        low(unwritten<Bf16>(n), offset) {}

  static std::vector<float> squares(std::vector<float> values) {
    for (float& x : values) x *= x;
    return values;
  }

  DeviceArray<float> grad, master, m, v;
  DeviceArray<Bf16> low;
};

StepState state_of_step(uint64_t step) {
  StepState state{};
  state.step = step;
  state.scalars = {1e-2f, 0.19f, 0.0447f, 0};
  return state;
}

// A blob of the reference on scalars that carry their bound, whether or not products are fused.
using Real = selftest::Tracked<selftest::InF32>;
std::vector<Real> tracked(const std::vector<float>& values) {
  std::vector<Real> result;
  for (const float value : values) result.push_back(Real(value));
  return result;
}

void expect_tracked(const std::vector<float>& found, const std::vector<Real>& expected,
                    const std::string& what) {
  std::vector<double> value, bound;
  for (const Real& x : expected) {
    value.push_back(x.value());
    bound.push_back(x.error());
  }
  test::expect_close(found, value, bound, what);
}

TEST_F(TrainingKernelsTest, Optimizer) {
  for (const Optimizer kind : {Optimizer::kAdam, Optimizer::kAdamW, Optimizer::kSgd}) {
    for_each_length(kLengths, [&](std::size_t n, std::size_t offset) {
      const Blobs blobs(n, offset, random_);
      OptimizerRule rule;
      rule.kind = kind;
      rule.weight_decay = 0.01f;
      rule.momentum = 0.9f;
      rule.clip_norm = 1.5f;
      const DeviceArray<StepState> state(std::vector<StepState>{state_of_step(1)});
      const DeviceArray<float> loss(std::vector<float>{1.0f}), norm(std::vector<float>{3.0f});
      const bool is_sgd = kind == Optimizer::kSgd;
      const std::vector<Real> grad = tracked(blobs.grad.read());
      std::vector<Real> master = tracked(blobs.master.read()), m = tracked(blobs.m.read()),
                        v = tracked(blobs.v.read());
      const StepState host_state = state_of_step(1);
      const Real host_loss(1.0f), host_norm(3.0f);
      optimizer_reference(OptimizerStep<Real>{static_cast<int64_t>(n), rule, &host_state,
                                              &host_loss, &host_norm, grad.data(), master.data(),
                                              m.data(), is_sgd ? nullptr : v.data(), nullptr});
      run_kernel(OptimizerStep<float>{static_cast<int64_t>(n), rule, state.data(), loss.data(),
                                      norm.data(), blobs.grad.data(), blobs.master.data(),
                                      blobs.m.data(), is_sgd ? nullptr : blobs.v.data(),
                                      blobs.low.data()});
      expect_tracked(blobs.master.read(), master, "master");
      expect_tracked(blobs.m.read(), m, "m");
      expect_tracked(blobs.v.read(), v, "v");
      test::expect_close(blobs.low.read(), widened(blobs.master.read()), std::vector<double>(n),
                         "low");
    });
  }
}

// Sums that stand in parts have the bits of sums that were made before; what lies in their place is
// not read. Elements beside and between them, odd lengths, more parts than a loop unrolled takes.
TEST_F(TrainingKernelsTest, OptimizerAddsParts) {
  constexpr std::size_t kElems = 64 * 40;
  const DeviceArray<StepState> state(std::vector<StepState>{state_of_step(1)});
  const DeviceArray<float> loss(std::vector<float>{1.0f});
  const struct {
    std::size_t begin, elems, count;
  } sums[] = {{64, 7, 9}, {128, 1024, 2}, {64 * 30, 65, 6}};
  std::vector<float> grad = random_values<float>(kElems, random_), unread = grad;
  std::vector<DeviceArray<float>> memory;
  for (const auto& sum : sums) {
    const std::vector<float> parts = random_values<float>(sum.elems * sum.count, random_);
    memory.emplace_back(parts);
    for (std::size_t k = 0; k < sum.elems; ++k) {
      float total = 0;
      for (std::size_t p = 0; p < sum.count; ++p) total += parts[p * sum.elems + k];
      grad[sum.begin + k] = total;
      unread[sum.begin + k] = std::numeric_limits<float>::quiet_NaN();
    }
    // A tensor's padding is 0 in the blob.
    for (std::size_t k = sum.begin + sum.elems; k % 4 != 0; ++k) grad[k] = unread[k] = 0;
  }
  for_each_schedule([&] {
    std::mt19937 same(7);
    const Blobs added(kElems, 0, same);
    same.seed(7);
    const Blobs parts(kElems, 0, same);
    const DeviceArray<float> whole(grad), hollow(unread);
    OptimizerStep<float> p{.n = kElems,
                           .rule = {},
                           .state = state.data(),
                           .loss = loss.data(),
                           .grad = whole.data(),
                           .master = added.master.data(),
                           .m = added.m.data(),
                           .v = added.v.data(),
                           .low = added.low.data()};
    run_kernel(p);
    p.grad = hollow.data();
    p.master = parts.master.data();
    p.m = parts.m.data();
    p.v = parts.v.data();
    p.low = parts.low.data();
    std::vector<Parts> all;
    for (std::size_t k : {2, 0, 1})
      all.push_back({hollow.data() + sums[k].begin, memory[k].data(),
                     static_cast<int64_t>(sums[k].elems), static_cast<int64_t>(sums[k].count)});
    p.grad_parts = all;
    run_kernel(p);
    EXPECT_TRUE(parts.master.read() == added.master.read());
    EXPECT_TRUE(parts.m.read() == added.m.read());
    EXPECT_TRUE(parts.v.read() == added.v.read());
  });
}

// One launch updates and, when every block has read the state, moves it on; many follow each other
// with nothing in between. Each step has a learning rate of its own, so that a block that read the
// state late would be seen, and all numbers are few multiples of 1/64, so that sums are exact.
TEST_F(TrainingKernelsTest, OptimizerAdvances) {
  const bool is_gpu = test::blocks_really_meet();
  const std::size_t n = is_gpu ? std::size_t{1} << 21 : 5000;
  const uint64_t steps = is_gpu ? 200 : 3;
  std::vector<StepScalars> ring(kStepSlots);
  for (std::size_t k = 0; k < ring.size(); ++k)
    ring[k].learning_rate = static_cast<float>(1 + k * 5 % 7) / 64;
  float all_rates = 0;
  for (uint64_t k = 1; k <= steps; ++k) all_rates += ring[k].learning_rate;
  std::vector<float> grad(n), expected(n);
  for (std::size_t i = 0; i < n; ++i) {
    grad[i] = static_cast<float>(random_() % 17) - 8;
    expected[i] = -all_rates * grad[i];
  }
  const DeviceArray<StepScalars> scalars(ring);
  const DeviceArray<std::uint32_t> arrivals(1);
  const DeviceArray<float> gradient(grad);
  for_each_schedule([&] {
    StepState first = state_of_step(1);
    first.scalars = ring[1];
    const DeviceArray<float> master(n), losses(kStepSlots);
    const DeviceArray<StepState> state(std::vector<StepState>{first});
    DeviceArray<float> loss(std::vector<float>{3.0f});
    const OptimizerStep<float> update{.n = static_cast<int64_t>(n),
                                      .rule = {.kind = Optimizer::kSgd},
                                      .state = state.data(),
                                      .loss = loss.data(),
                                      .grad = gradient.data(),
                                      .master = master.data()};
    const Advance advance{.batch_rows = 32,
                          .state = state.data(),
                          .scalars = scalars.data(),
                          .loss = loss.data(),
                          .losses = losses.data(),
                          .arrivals = arrivals.data()};
    const Launch launch = prepare_joined(update, advance, cuda::Device{}, nullptr);
    test::run_on_device([&](void* stream) {
      for (uint64_t k = 0; k < steps; ++k) launch(stream);
    });
    const auto expect_state = [&](uint32_t halt) {
      EXPECT_EQ(state.read()[0].step, 1 + steps);
      EXPECT_EQ(state.read()[0].batch_row, 32 * steps);
      EXPECT_EQ(state.read()[0].halt, halt);
      EXPECT_EQ(arrivals.read()[0], 0U);
      EXPECT_TRUE(master.read() == expected);
    };
    expect_state(0);
    std::vector<float> all_losses(kStepSlots);
    std::fill_n(all_losses.begin() + 1, steps, 3.0f);
    EXPECT_EQ(losses.read(), all_losses);
    for (const float last : {std::numeric_limits<float>::quiet_NaN(), 3.0f}) {
      loss.write({last});  // void by its loss, then by the halt
      test::run_on_device([&](void* stream) { launch(stream); });
      expect_state(1);
    }
  });
}

// What stands in parts has quads of its own in the gradient.
TEST_F(TrainingKernelsTest, OptimizerRefusesPartsThatMeet) {
  float grad[64];
  const auto prepared = [&](std::vector<Parts> parts) {
    OptimizerStep<float> p{.n = 64, .rule = {}, .grad = grad, .grad_parts = parts};
    prepare(p, cuda::Device{}, nullptr);
  };
  EXPECT_NO_THROW(prepared({{grad + 32, grad, 32, 2}, {grad + 8, grad, 23, 2}}));
  EXPECT_THROW(prepared({{grad + 2, grad, 8, 2}}), std::logic_error) << "within a quad";
  EXPECT_THROW(prepared({{grad + 60, grad, 5, 2}}), std::logic_error) << "beyond the end";
  EXPECT_THROW(prepared({{grad + 8, grad, 9, 2}, {grad + 16, grad, 8, 2}}), std::logic_error);
  EXPECT_THROW(prepared({{grad + 8, grad, 8, 0}}), std::logic_error) << "no part";
}

// In a void step nothing moves: a loss or a norm that is not finite, or the halt flag.
TEST_F(TrainingKernelsTest, OptimizerDoesNothingInAVoidStep) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const struct {
    float loss, norm;
    uint32_t halt;
  } cases[] = {{nan, 1, 0}, {infinity, 1, 0}, {1, nan, 0}, {1, infinity, 0}, {1, 1, 1}};
  for (const auto& c : cases) {
    const Blobs blobs(100, 0, random_);
    const std::vector<float> master = blobs.master.read(), m = blobs.m.read(), v = blobs.v.read();
    StepState state = state_of_step(1);
    state.halt = c.halt;
    const DeviceArray<StepState> device_state(std::vector<StepState>{state});
    const DeviceArray<float> loss(std::vector<float>{c.loss}), norm(std::vector<float>{c.norm});
    run_kernel(OptimizerStep<float>{100,
                                    {},
                                    device_state.data(),
                                    loss.data(),
                                    norm.data(),
                                    blobs.grad.data(),
                                    blobs.master.data(),
                                    blobs.m.data(),
                                    blobs.v.data(),
                                    nullptr});
    EXPECT_EQ(blobs.master.read(), master);
    EXPECT_EQ(blobs.m.read(), m);
    EXPECT_EQ(blobs.v.read(), v);
  }
}

TEST_F(TrainingKernelsTest, Advance) {
  std::vector<StepScalars> ring(kStepSlots);
  for (std::size_t i = 0; i < ring.size(); ++i) ring[i].learning_rate = static_cast<float>(i);
  const DeviceArray<StepScalars> scalars(ring);
  const DeviceArray<float> losses(unwritten<float>(kStepSlots)), loss(std::vector<float>{0.5f});
  const DeviceArray<StepState> state(std::vector<StepState>{state_of_step(kStepSlots - 1)});
  const Advance p{32, state.data(), scalars.data(), loss.data(), nullptr, losses.data()};
  run_kernel(p);
  EXPECT_EQ(losses.read()[kStepSlots - 1], 0.5f);
  EXPECT_EQ(state.read()[0].step, kStepSlots);
  EXPECT_EQ(state.read()[0].batch_row, 32U);
  EXPECT_EQ(state.read()[0].scalars.learning_rate, 0.0f);
  EXPECT_EQ(state.read()[0].halt, 0U);

  const DeviceArray<float> broken(std::vector<float>{std::numeric_limits<float>::infinity()});
  Advance stop = p;
  stop.loss = broken.data();
  run_kernel(stop);
  EXPECT_EQ(state.read()[0].halt, 1U);
  EXPECT_EQ(state.read()[0].step, kStepSlots);
}

}  // namespace
}  // namespace diabolo
