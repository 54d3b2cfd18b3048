// The CUDA kernels over activations and rows, in the harness, against their references: lengths
// around the quad and the block, misaligned bases, three schedules.
#include <gtest/gtest.h>

#include "cuda_host/compare.h"
#include "cuda_host/device_array.h"
#include "cuda_host/kernel_run.h"
#include "kernels/activation_grad.h"
#include "kernels/add.h"
#include "kernels/gather.h"
#include "kernels/loss.h"
#include "kernels/noise.h"
#include "kernels/score.h"

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

constexpr double kFunctionUlp = 16;  // the device's and the host's own functions, in eps

class FlatKernelsTest : public ::testing::Test {
 protected:
  void SetUp() override { test::skip_or_fail_without_device(); }
  std::mt19937 random_{5};

  template <class T>
  void activation_grad() {
    int count = 0;
    for_each_length(kLengths, [&](std::size_t n, std::size_t offset) {
      const auto activation = static_cast<Activation>(count++ % kActivationCount);
      const DeviceArray<T> dy(random_values<T>(n, random_), offset),
          saved(random_values<T>(n, random_), offset);
      const DeviceArray<T> dz(unwritten<T>(n), offset);
      run_kernel(ActivationGrad<T>{static_cast<int64_t>(n), activation, dy.data(), saved.data(),
                                   dz.data()});
      std::vector<double> expected(n), bound(n);
      const std::vector<double> wide_dy = widened(dy.read()), wide_saved = widened(saved.read());
      activation_grad_reference(ActivationGrad<double>{
          static_cast<int64_t>(n), activation, wide_dy.data(), wide_saved.data(), expected.data()});
      for (std::size_t i = 0; i < n; ++i) {
        bound[i] =
            kFunctionUlp * kEps *
            (std::abs(expected[i]) + std::abs(wide_dy[i]) * (1 + wide_saved[i] * wide_saved[i]));
      }
      test::expect_close(dz.read(), expected, bound, name(activation));
    });
  }

  template <class T>
  void add() {
    for_each_length(kLengths, [&](std::size_t n, std::size_t offset) {
      const DeviceArray<T> a(random_values<T>(n, random_), offset), b(random_values<T>(n, random_));
      std::vector<T> expected(n);
      const std::vector<T> host_a = a.read(), host_b = b.read();
      add_reference(Add<T>{static_cast<int64_t>(n), host_a.data(), host_b.data(), expected.data()});
      run_kernel(Add<T>{static_cast<int64_t>(n), a.data(), b.data(), a.data()});  // in place
      EXPECT_EQ(widened(a.read()), widened(expected));
    });
  }

  template <class T>
  void loss() {
    int count = 0;
    for_each_length(kSumLengths, [&](std::size_t n, std::size_t offset) {
      const auto activation = static_cast<Activation>(count % kActivationCount);
      const auto kind = static_cast<Loss>(count++ % kLossCount);
      const DeviceArray<T> z(random_values<T>(n, random_), offset),
          target(random_values<T>(n, random_), offset);
      const DeviceArray<T> dz(unwritten<T>(n), offset);
      const DeviceArray<float> out(unwritten<float>(1));
      const auto length = static_cast<int64_t>(n);
      run_kernel(LossOf<T>{length, activation, kind, 2.0f, z.data(), target.data(), dz.data(),
                           out.data()});
      const std::vector<double> wide_z = widened(z.read()), wide_target = widened(target.read());
      std::vector<double> expected(n), bound(n);
      double total = 0, total_bound = 0;
      loss_reference(LossOf<double>{length, activation, kind, 2.0f, wide_z.data(),
                                    wide_target.data(), expected.data(), &total});
      for (std::size_t i = 0; i < n; ++i) {
        const double reach = 1 + std::abs(wide_z[i]) + std::abs(wide_target[i]);
        const double error = kFunctionUlp * kEps * reach;
        bound[i] = 4 * error * reach / static_cast<double>(n);
        total_bound += bound[i];
        // At a kink of L1 the derivative may be that of either side.
        if (test::is_at_kink(activation, kind, wide_z[i], wide_target[i], error)) {
          bound[i] += 4 * reach / static_cast<double>(n);
        }
      }
      total_bound += static_cast<double>(n) * kEps * total;
      test::expect_close(out.read(), {total}, {total_bound}, name(kind));
      test::expect_close(dz.read(), expected, bound, name(activation));
    });
  }

  template <class T>
  void row_score() {
    for (const int64_t D : {1, 31, 32, 33, 200}) {
      for (const int64_t M :
           {int64_t{0}, std::min<int64_t>(D, 5), std::min<int64_t>(D, kMaxWorst)}) {
        const int64_t B = 9;
        const auto n = static_cast<std::size_t>(B * D), worst = static_cast<std::size_t>(B * M);
        DeviceArray<T> y(random_values<T>(n, random_)), target(random_values<T>(n, random_));
        const std::vector<double> wide_y = widened(y.read()), wide_target = widened(target.read());
        std::vector<T> host_y = y.read(), host_target = target.read();
        std::vector<float> score(9), error(worst);
        std::vector<uint32_t> index(worst);
        row_score_reference(RowScore<T>{B, D, M, host_y.data(), host_target.data(), score.data(),
                                        index.data(), error.data()});
        std::vector<double> bound(9);
        for (std::size_t b = 0; b < 9; ++b)
          bound[b] = 2 * static_cast<double>(D + 4) * kEps * score[b];
        for_each_schedule([&] {
          const DeviceArray<float> out(unwritten<float>(9)), out_error(unwritten<float>(worst));
          const DeviceArray<uint32_t> out_index(worst);
          run_kernel(RowScore<T>{B, D, M, y.data(), target.data(), out.data(), out_index.data(),
                                 out_error.data()});
          test::expect_close(out.read(), widened(score), bound, "score");
          EXPECT_EQ(out_index.read(), index);
          EXPECT_EQ(out_error.read(), error);
        });
      }
    }
  }

  template <class Source, class T>
  void gather() {
    for (const int64_t D : {1, 4, 7, 130}) {
      const int64_t N = 12, B = 5;
      std::vector<Source> rows(static_cast<std::size_t>(N * D));
      for (auto& value : rows) value = static_cast<Source>(random_() % 256);
      // In range, repeated, past the source, and, for the last batch row, past the order.
      const std::vector<uint32_t> order = {0, 1, 2, 3, 4, 5, 6, 7, 3, 11, 12, 7};
      StepState state{};
      state.batch_row = 8;
      const auto width = static_cast<std::size_t>(D);
      const DeviceArray<Source> source(rows);
      const DeviceArray<uint32_t> places(order);
      const DeviceArray<StepState> device_state(std::vector<StepState>{state});
      const DeviceArray<float> shift(random_values<float>(width, random_)),
          scale(random_values<float>(width, random_));
      for (const bool has_order : {false, true}) {
        const std::vector<float> host_shift = shift.read(), host_scale = scale.read();
        std::vector<T> expected(static_cast<std::size_t>(B * D));
        gather_reference(Gather<Source, T>{N, B, D, rows.data(), has_order ? order.data() : nullptr,
                                           &state, host_shift.data(), host_scale.data(),
                                           expected.data()});
        for_each_schedule([&] {
          const DeviceArray<T> out(unwritten<T>(expected.size()));
          run_kernel(Gather<Source, T>{N, B, D, source.data(), has_order ? places.data() : nullptr,
                                       device_state.data(), shift.data(), scale.data(),
                                       out.data()});
          const std::vector<double> found = widened(out.read()), wanted = widened(expected);
          for (std::size_t i = 0; i < found.size(); ++i) {
            EXPECT_TRUE(found[i] == wanted[i] || (std::isnan(found[i]) && std::isnan(wanted[i])))
                << i;
          }
        });
      }
    }
  }

  template <class T>
  void noise() {
    StepState state{};
    state.seed = 77;
    state.step = 3;
    const DeviceArray<StepState> device_state(std::vector<StepState>{state});
    for (const int64_t D : {1, 4, 7, 130}) {
      const int64_t B = 6;
      const auto n = static_cast<std::size_t>(B * D);
      const std::vector<T> host_x = random_values<T>(n, random_);
      std::vector<T> dropped(n), masked(n);
      dropout_reference(
          Dropout<T>{B, D, 0.3f, RandomPurpose::kDropout, &state, host_x.data(), dropped.data()});
      Corrupt<T> reference{B, D, Corruption::kMasking, 0.4f};
      reference.state = &state;
      reference.x = host_x.data();
      reference.y = masked.data();
      corrupt_reference(reference);
      std::vector<double> wide(widened(host_x)), noisy(n), bound(n, 64 * kEps);
      corrupt_reference(Corrupt<double>{B, D, Corruption::kGaussian, 0.5f, -1.0f, 1.25f,
                                        RandomPurpose::kCorruption, &state, wide.data(),
                                        noisy.data()});
      for_each_schedule([&] {
        const DeviceArray<T> x(host_x), y(unwritten<T>(n));
        run_kernel(Dropout<T>{B, D, 0.3f, RandomPurpose::kDropout, device_state.data(), x.data(),
                              y.data()});
        EXPECT_EQ(widened(y.read()), widened(dropped));
        Corrupt<T> p{B, D, Corruption::kMasking, 0.4f};
        p.state = device_state.data();
        p.x = x.data();
        p.y = y.data();
        run_kernel(p);
        EXPECT_EQ(widened(y.read()), widened(masked));
        p.kind = Corruption::kGaussian;
        p.amount = 0.5f;
        p.low = -1.0f;
        p.high = 1.25f;
        p.y = x.data();  // in place
        run_kernel(p);
        test::expect_close(x.read(), noisy, bound, "gaussian");
      });
    }
  }
};

TEST_F(FlatKernelsTest, ActivationGrad) {
  activation_grad<float>();
  activation_grad<Bf16>();
}

TEST_F(FlatKernelsTest, Add) {
  add<float>();
  add<Bf16>();
}

TEST_F(FlatKernelsTest, Loss) {
  loss<float>();
  loss<Bf16>();
}

TEST_F(FlatKernelsTest, RowScore) {
  row_score<float>();
  row_score<Bf16>();
}

// A broken reconstruction shows where it is broken: what is NaN, infinite or beyond f32 comes
// first, in the order of the features.
TEST_F(FlatKernelsTest, RowScoreTakesAllThatIsNotFiniteForInfinite) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> values(40, 0.0f);
  values[7] = 3;
  values[10] = std::numeric_limits<float>::quiet_NaN();
  values[11] = -kInfinity;
  values[34] = 3e38f;
  values[33] = kInfinity;
  const DeviceArray<float> y(values), target(40), score(1), error(6);
  const DeviceArray<uint32_t> index(6);
  run_kernel(
      RowScore<float>{1, 40, 6, y.data(), target.data(), score.data(), index.data(), error.data()});
  EXPECT_EQ(index.read(), (std::vector<uint32_t>{10, 11, 33, 34, 7, 0}));
  EXPECT_EQ(error.read(), (std::vector<float>{kInfinity, kInfinity, kInfinity, kInfinity, 9, 0}));
  EXPECT_EQ(score.read()[0], kInfinity);
}

TEST_F(FlatKernelsTest, Gather) {
  gather<uint8_t, float>();
  gather<uint8_t, Bf16>();
  gather<float, float>();
  gather<float, Bf16>();
}

TEST_F(FlatKernelsTest, Noise) {
  noise<float>();
  noise<Bf16>();
}

}  // namespace
}  // namespace diabolo
