// cuBLASLt under the frame: chosen by plans of policy `fast` only, same bits with capture on and
// off, and clean failures. The library is tests/fake_cublaslt; that the entry computes the right
// numbers is the ladder's business.
#include "kernels/cuda/cublaslt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "backend/backend.h"
#include "fake_cuda/fake_cuda.h"
#include "graph/plan.h"
#include "kernels/cuda/cublaslt_library.h"
#include "model/training_graph.h"
#include "ops/dense.h"
#include "train/training_fixture.h"

namespace diabolo {
namespace {

namespace cublaslt = kernels::cuda::cublaslt;
using kernels::cuda::LaunchError;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kFeatures = 16;
constexpr uint64_t kRows = 70;  // two batches of 32 and one of 6

// A device that one tile fills, so that the library is wanted for small layers too.
void reset_to_one_multiprocessor(uint64_t seed) {
  fake_cuda::reset(seed);
  fake_cuda::Description description;
  description.multiprocessors = 1;
  fake_cuda::describe(description);
}

Config fast_config(Precision precision) {
  Config config = small_config();
  config.model.encoder.hidden = {16, 16};
  config.model.code.size = 16;
  config.train.epochs = 2;
  config.train.precision = precision;
  config.train.fast_policy = true;
  return config;
}

class Cublaslt : public testing::Test {
 protected:
  Cublaslt() { reset_to_one_multiprocessor(0); }
  ~Cublaslt() override { fake_cuda::reset(); }

  TrainResult run(const Config& config, const TrainOptions& options, uint64_t seed) {
    reset_to_one_multiprocessor(seed);
    const auto backend = create_cuda_backend();
    return train(*backend, config, *data_.data, nullptr, options, {});
  }

  // The kernels of a training step.
  static std::vector<std::string> kernels_of(const Config& config) {
    TrainingGraphOptions options;
    options.rows = config.train.batch_size;
    options.precision = config.train.precision;
    options.optimizer = config.optimizer.rule();
    const Config whole = resolved(config, Scale::kNone);
    const Network network = Network::of(whole.model, kFeatures);
    const auto backend = create_cuda_backend();
    const Plan plan = Plan::compile(training_graph(whole.model, network, options), backend->info(),
                                    policy_of(whole.train));
    std::vector<std::string> names;
    for (const Step& step : plan.steps()) names.emplace_back(step.kernel->name);
    return names;
  }

  FloatData data_{planar_rows(kRows, kFeatures, 1), kFeatures};
};

int64_t count_cublaslt(const std::vector<std::string>& names) {
  return std::count_if(names.begin(), names.end(), [](const std::string& name) {
    return name.find("cublaslt") != std::string::npos;
  });
}

TEST_F(Cublaslt, OnlyPlansOfPolicyFastTakeIt) {
  for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
    Config config = fast_config(precision);
    const auto fast = kernels_of(config);
    // 16-16-16-16 and back: five layers before the one with the loss, and as many data gradients.
    EXPECT_EQ(count_cublaslt(fast), 10) << testing::PrintToString(fast);
    config.train.fast_policy = false;
    EXPECT_EQ(count_cublaslt(kernels_of(config)), 0);
  }
}

// Layers that it is expected to win are not joined to chains of ours.
TEST_F(Cublaslt, ItsLayersAreNotChained) {
  Graph graph;
  ValueId x = graph.add_input("x", TensorDesc(DType::kF32, {64, 16}));
  for (const char* name : {"one", "two", "three"}) {
    const ValueId weight = graph.add_parameter(name, TensorDesc(DType::kF32, {16, 16}));
    x = graph.add(kDenseForward, DenseForwardAttrs{.has_bias = false}, {x, weight}, name)[0];
  }
  graph.mark_output(x, "y");
  const auto backend = create_cuda_backend();
  const Plan strict = Plan::compile(graph, backend->info(), {});
  ASSERT_EQ(strict.steps().size(), 1u);
  const Plan fast = Plan::compile(graph, backend->info(), {.fast = true});
  ASSERT_EQ(fast.steps().size(), 3u);
  for (const Step& step : fast.steps()) EXPECT_THAT(step.kernel->name, HasSubstr("cublaslt"));
}

TEST_F(Cublaslt, BitsDoNotDependOnCaptureOrLateness) {
  for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
    const Config config = fast_config(precision);
    TrainOptions plain, single, many;
    plain.capture = Capture::kOff;
    plain.max_steps_per_launch = single.max_steps_per_launch = 1;
    const auto expected = bits_of(run(config, plain, 0).model);
    uint64_t seed = 1;
    for (const TrainOptions* options : {&plain, &single, &many}) {
      for (int repeat = 0; repeat < 2; ++repeat, ++seed) {
        SCOPED_TRACE(cat("seed ", seed));
        EXPECT_EQ(bits_of(run(config, *options, seed).model), expected);
        EXPECT_THAT(fake_cuda::violations(), IsEmpty());
        EXPECT_THAT(fake_cuda::leaks(), IsEmpty());
      }
    }
  }
}

TEST_F(Cublaslt, TrainsAsTheTilesDo) {
  Config config = fast_config(Precision::kF32);
  const TrainResult library = run(config, TrainOptions(), 1);
  config.train.fast_policy = false;
  const TrainResult tiles = run(config, TrainOptions(), 1);
  ASSERT_EQ(library.metrics.size(), tiles.metrics.size());
  for (size_t epoch = 0; epoch < tiles.metrics.size(); ++epoch)
    EXPECT_NEAR(library.metrics[epoch].loss, tiles.metrics[epoch].loss, 1e-5);
}

// A real library may have no algorithm once it knows how the operands are aligned.
TEST_F(Cublaslt, WhereItHasNoAlgorithmTheTilesDoIt) {
  for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
    Config config = fast_config(precision);
    setenv("FAKE_CUBLASLT_HAS_NOTHING", "1", 1);
    const auto found = bits_of(run(config, TrainOptions(), 1).model);
    unsetenv("FAKE_CUBLASLT_HAS_NOTHING");
    config.train.fast_policy = false;
    EXPECT_EQ(found, bits_of(run(config, TrainOptions(), 1).model));
  }
}

TEST_F(Cublaslt, ALaunchThatFailsIsAnErrorOfTheDevice) {
  for (const int64_t k : {1, 2, 5, 20}) {
    SCOPED_TRACE(k);
    reset_to_one_multiprocessor(0);
    fake_cuda::fail_call_of("cudaLaunchKernel", k, cudaErrorLaunchFailure);
    try {
      const auto backend = create_cuda_backend();
      train(*backend, fast_config(Precision::kF32), *data_.data, nullptr, TrainOptions(), {});
      FAIL() << "it went through";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kDevice) << error.what();
    }
    EXPECT_THAT(fake_cuda::leaks(), IsEmpty());
  }
}

// What the library fails at comes back as LaunchError with its name and what to do about it. The
// addresses are never followed: the calls fail before.
class RefusedProduct : public Cublaslt {
 protected:
  static std::string message_of(const cublaslt::Product& product, void* workspace) {
    try {
      cublaslt::prepare_product(product, {}, 0, workspace)(nullptr);
    } catch (const LaunchError& error) {
      return error.what();
    }
    return "it went through";
  }
  alignas(256) float place_[64] = {};
  cublaslt::Product good_{.m = 4, .n = 4, .k = 4, .a = place_, .w = place_ + 16, .d = place_ + 32};
};

TEST_F(RefusedProduct, ThatHasNoAlgorithmIsAnEmptyCall) {
  cublaslt::Product bad = good_;
  bad.is_bf16 = bad.d_is_bf16 = true;
  bad.bias = place_ + 48;  // f32 bias, bf16 result: there is no such kernel
  EXPECT_FALSE(cublaslt::prepare_product(bad, {}, 0, place_));
  EXPECT_TRUE(cublaslt::prepare_product(good_, {}, 0, place_));
}

TEST_F(RefusedProduct, SaysWhichCallFailedAndWhatToDo) {
  const std::string message = message_of(good_, nullptr);
  EXPECT_THAT(message, HasSubstr("libcublasLt.so.13"));
  EXPECT_THAT(message, HasSubstr("cublasLtMatmul: CUBLAS_STATUS_INVALID_VALUE"));
  EXPECT_THAT(message, HasSubstr("--policy strict"));
}

TEST_F(RefusedProduct, AWorkspaceThatIsMissingOrMisalignedIsNoticed) {
  EXPECT_THAT(message_of(good_, nullptr), HasSubstr("CUBLAS_STATUS_INVALID_VALUE"));
  EXPECT_THAT(message_of(good_, place_ + 1), HasSubstr("CUBLAS_STATUS_INVALID_VALUE"));
}

}  // namespace
}  // namespace diabolo
