// Products by own loops against double, on every instruction set of this machine, and their
// promise: an element does not depend on the rows around it, nor on threads, nor on how its
// operands lie.
#include "kernels/cpu/product.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/sanitized.h"
#include "kernels/compare.h"

namespace diabolo::kernels::cpu {
namespace {

struct Sizes {
  int64_t M, N, K;
};
constexpr Sizes kSizes[] = {{1, 1, 1},   {1, 40, 9},  {5, 31, 17},  {6, 32, 64},   {12, 33, 1},
                            {13, 16, 5}, {24, 70, 8}, {25, 70, 80}, {97, 130, 33}, {200, 65, 100}};

std::vector<CpuFeatures> instruction_sets() {
  const CpuFeatures all = detect_features(1);
  std::vector<CpuFeatures> sets = {{false, false, false, 1}};
  if (all.has_avx2) sets.push_back({true, false, false, 1});
  if (all.has_avx512) sets.push_back({true, true, false, 1});
  return sets;
}

std::vector<float> transpose(const std::vector<float>& m, int64_t rows, int64_t cols) {
  std::vector<float> t(m.size());
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) t[c * rows + r] = m[r * cols + c];
  }
  return t;
}

struct Problem {
  explicit Problem(Sizes sizes)
      : n(sizes),
        a(random_values<float>(n.M * n.K, 1)),
        b(random_values<float>(n.K * n.N, 2)),
        bias(random_values<float>(n.N, 3)) {}

  // C of this problem's first `rows` rows.
  std::vector<float> run(CpuFeatures cpu, int64_t rows, bool a_transposed, bool b_transposed,
                         bool accumulates) const {
    const ProductShape shape{{Element::kF32, rows, n.K, a_transposed},
                             {Element::kF32, n.K, n.N, b_transposed},
                             Element::kF32,
                             !accumulates,
                             accumulates,
                             cpu};
    const std::vector<float> a_rows(a.begin(), a.begin() + rows * n.K);
    const auto a_stored = a_transposed ? transpose(a_rows, rows, n.K) : a_rows;
    const auto b_stored = b_transposed ? transpose(b, n.K, n.N) : b;
    std::vector<float> c(rows * n.N, accumulates ? 0.5f : std::nanf(""));
    const auto product = make_loop_product(shape);
    std::vector<std::byte> storage(product->scratch_bytes() + 64, std::byte{0xff});
    void* scratch = storage.data();
    size_t space = storage.size();
    std::align(64, 1, scratch, space);
    product->bind({a_stored.data(), b_stored.data(), accumulates ? nullptr : bias.data(), c.data(),
                   scratch})();
    return c;
  }

  Sizes n;
  std::vector<float> a, b, bias;
};

TEST(LoopProduct, IsTheProduct) {
  for (const Sizes& sizes : kSizes) {
    const Problem problem(sizes);
    for (const CpuFeatures& cpu : instruction_sets()) {
      for (int mode = 0; mode < 8; ++mode) {
        const bool accumulates = mode >= 4;
        const auto c = problem.run(cpu, sizes.M, mode % 2 == 1, mode / 2 % 2 == 1, accumulates);
        for (int64_t i = 0; i < sizes.M; ++i) {
          for (int64_t j = 0; j < sizes.N; ++j) {
            double expected = accumulates ? 0.5 : to_double(problem.bias[j]);
            double terms = std::abs(expected);
            for (int64_t k = 0; k < sizes.K; ++k) {
              const double term =
                  to_double(problem.a[i * sizes.K + k]) * to_double(problem.b[k * sizes.N + j]);
              expected += term;
              terms += std::abs(term);
            }
            ASSERT_NEAR(c[i * sizes.N + j], expected,
                        static_cast<double>(sizes.K + 2) * kFloatEps * terms)
                << sizes.M << 'x' << sizes.N << 'x' << sizes.K << " mode " << mode;
          }
        }
      }
    }
  }
}

TEST(LoopProduct, AnElementIsOneChainWhateverIsAroundIt) {
  for (const Sizes& sizes : kSizes) {
    const Problem problem(sizes);
    for (CpuFeatures cpu : instruction_sets()) {
      const auto whole = problem.run(cpu, sizes.M, false, false, false);
      cpu.threads = 2;
      for (int mode = 0; mode < 4; ++mode) {
        for (const int64_t rows : {int64_t{1}, (sizes.M + 1) / 2, sizes.M}) {
          const auto part = problem.run(cpu, rows, mode % 2 == 1, mode / 2 == 1, false);
          ASSERT_EQ(std::memcmp(part.data(), whole.data(), part.size() * sizeof(float)), 0)
              << sizes.M << 'x' << sizes.N << 'x' << sizes.K << " mode " << mode << " rows "
              << rows;
        }
      }
    }
  }
}

TEST(LoopProduct, Avx2AndAvx512GiveTheSameBits) {
  const CpuFeatures all = detect_features(1);
  if (!all.has_avx512) GTEST_SKIP() << "this CPU has no AVX-512";
  for (const Sizes& sizes : kSizes) {
    const Problem problem(sizes);
    EXPECT_TRUE(same_bits(problem.run({true, false, false, 1}, sizes.M, false, false, false),
                          problem.run({true, true, false, 1}, sizes.M, false, false, false)));
  }
}

// fork() may come while other threads make products; the child's first one must not wait for them.
TEST(Product, OfAChildDoesNotWaitForThreadsOfItsParent) {
  if (testing::kIsSanitized)
    GTEST_SKIP() << "sanitizers have locks of their own, which a child may find taken for ever";
#ifdef __clang__
  GTEST_SKIP() << "LLVM's OpenMP runtime has a lock that fork() takes in another order than ours";
#endif
  const Problem problem({97, 130, 33});
  const auto multiply = [&] {
    const ProductShape shape{{Element::kF32, 97, 33, false},
                             {Element::kF32, 33, 130, false},
                             Element::kF32,
                             true,
                             false,
                             detect_features(1)};
    std::vector<float> c(97 * 130);
    const auto product = make_product(shape);
    std::vector<std::byte> storage(product->scratch_bytes() + 64);
    void* scratch = storage.data();
    size_t space = storage.size();
    std::align(64, 1, scratch, space);
    product->bind({problem.a.data(), problem.b.data(), problem.bias.data(), c.data(), scratch})();
  };
  std::atomic<bool> ends{false};
  std::vector<std::thread> others;
  for (int i = 0; i < 2; ++i)
    others.emplace_back([&] {
      while (!ends) multiply();
    });
  int hung = 0;
  for (int round = 0; round < 100 && hung == 0; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);
      multiply();
      _exit(0);
    }
    int status = 1;
    waitpid(child, &status, 0);
    if (status != 0) ++hung;
  }
  ends = true;
  for (std::thread& other : others) other.join();
  EXPECT_EQ(hung, 0);
}

TEST(Product, IsRefusedOnlyForBf16) {
  CpuFeatures cpu = detect_features(1);
  EXPECT_EQ(product_refusal(Element::kF32, {}), nullptr);
  cpu.has_bf16 = false;
  EXPECT_NE(product_refusal(Element::kBf16, cpu), nullptr);
}

}  // namespace
}  // namespace diabolo::kernels::cpu
