// Whole trainings and encodings on the fake device, with the CUDA kernels in the host harness: the
// bits do not depend on capture, residency, launches or how late the device is; what fails, fails
// cleanly; and a step does not allocate or wait.
#include "fake_cuda/fake_cuda.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "infer/inference.h"
#include "model/code.h"
#include "train/stateful_part.h"
#include "train/train_session.h"
#include "train/training_fixture.h"
#include "train/training_plan.h"

namespace diabolo {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kFeatures = 12;
constexpr uint64_t kRows = 70;  // two batches of 32 and one of 6

Config tiny_config(const CodeDef& code = kPlainCode) {
  Config config = small_config();
  config.model.code.kind = code.name;
  config.train.epochs = 2;
  config.model.encoder.dropout = 0.1;
  config.model.corruption = {CorruptionKind::kGaussian, 0.3, ClipKind::kNone};
  for (const TermDef* def : term_defs()) set_penalty(config, *def, 1e-4, 4);  // of six steps
  config.optimizer.clip_norm = 1;
  return config;
}

class FakeDevice : public testing::Test {
 protected:
  FakeDevice() { fake_cuda::reset(); }
  ~FakeDevice() override { fake_cuda::reset(); }

  static constexpr uint64_t kPlenty = uint64_t{1} << 30;

  // What the steps of a training need on the device.
  static uint64_t bytes_of_session(const Config& config, const Dataset& data, Residency residency) {
    fake_cuda::reset();
    fake_cuda::set_memory_bytes(kPlenty);
    TrainOptions options;
    options.residency = residency;
    const auto backend = create_cuda_backend();
    const TrainData loaded = load_train_data(config, data, nullptr, {});
    const Network network = Network::of(config.model, loaded.train.features);
    const TrainSession session(*backend, config, network, loaded, options);
    return fake_cuda::counters().peak_device_bytes;
  }

  // A training on a device that is as late as `seed` says.
  TrainResult run(const Config& config, const TrainOptions& options, uint64_t seed = 0,
                  const Dataset* validation = nullptr) {
    fake_cuda::reset(seed);
    const auto backend = create_cuda_backend();
    return train(*backend, config, *data_.data, validation, options, {});
  }

  static void expect_clean(const char* what) {
    EXPECT_THAT(fake_cuda::violations(), IsEmpty()) << what;
    EXPECT_THAT(fake_cuda::leaks(), IsEmpty()) << what;
  }

  FloatData data_{planar_rows(kRows, kFeatures, 1), kFeatures};
};

TrainOptions plain_options() {
  TrainOptions plain;
  plain.capture = Capture::kOff;
  plain.max_steps_per_launch = 1;
  return plain;
}

class FakeDeviceByCode : public FakeDevice, public testing::WithParamInterface<const CodeDef*> {};
INSTANTIATE_TEST_SUITE_P(All, FakeDeviceByCode, testing::ValuesIn(code_defs()),
                         [](const auto& test) { return std::string(test.param->name); });

TEST_P(FakeDeviceByCode, BitsDoNotDependOnCaptureOrLateness) {
  const int repeats = GetParam() == &kPlainCode ? 3 : 1;  // lateness is the executor's affair
  for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
    Config config = tiny_config(*GetParam());
    config.train.precision = precision;
    const auto expected = bits_of(run(config, plain_options()).model);
    TrainOptions single, many, slots, slots_plain = plain_options();
    single.max_steps_per_launch = 1;
    slots.residency = slots_plain.residency = Residency::kSlots;
    uint64_t seed = 1;
    for (const TrainOptions* options : {&single, &many, &slots, &slots_plain}) {
      for (int repeat = 0; repeat < repeats; ++repeat, ++seed) {
        SCOPED_TRACE(cat("seed ", seed));
        EXPECT_EQ(bits_of(run(config, *options, seed).model), expected);
        expect_clean("training");
      }
    }
  }
}

TEST_P(FakeDeviceByCode, TrainsAsTheHostDoes) {
  const Config config = tiny_config(*GetParam());
  const TrainResult cuda = run(config, TrainOptions());
  const TrainResult host =
      train(*create_host_backend(1), config, *data_.data, nullptr, TrainOptions(), {});
  ASSERT_EQ(cuda.metrics.size(), host.metrics.size());
  for (size_t epoch = 0; epoch < host.metrics.size(); ++epoch)
    EXPECT_NEAR(cuda.metrics[epoch].loss, host.metrics[epoch].loss, 1e-5);
  for (size_t p = 0; p < host.model.parameters.size(); ++p)
    for (size_t k = 0; k < host.model.parameters[p].size(); ++k)
      // Six steps of Adam move a weight by up to 6 * 3e-3, whatever the gradient's last bits are.
      ASSERT_NEAR(cuda.model.parameters[p][k], host.model.parameters[p][k], 2e-3);
}

// A batch that is cut into parts, which the optimizer adds up: nothing is clipped, and no penalty
// adds to the gradients.
TEST_F(FakeDevice, GradientsInPartsAreAsOnTheHost) {
  constexpr uint64_t kMany = 1500;
  const FloatData many(planar_rows(kMany, kFeatures, 1), kFeatures);
  Config config = small_config();
  config.train.batch_size = kMany;
  fake_cuda::reset();
  auto device = create_cuda_backend();
  const auto host = create_host_backend();
  const Config ready = resolved(config, Scale::kStandard);
  const Network network = Network::of(ready.model, kFeatures);
  const TrainingPlan plan(device->info(), ready, network, {.rows = kMany}, std::nullopt, true);
  const Plan step = plan.step(kMany);
  EXPECT_TRUE(std::ranges::any_of(step.steps(), [](const Step& one) {
    return one.parts_reader >= 0 && one.scratch_bytes > 0;
  }));
  const TrainResult there = train(*device, config, *many.data, nullptr, plain_options(), {});
  const TrainResult here = train(*host, config, *many.data, nullptr, plain_options(), {});
  ASSERT_EQ(there.metrics.size(), here.metrics.size());
  for (size_t epoch = 0; epoch < here.metrics.size(); ++epoch)
    EXPECT_NEAR(there.metrics[epoch].loss / here.metrics[epoch].loss, 1, 1e-3) << epoch;
  device.reset();
  expect_clean("gradients in parts");
}

TEST_F(FakeDevice, ValidatesAndStopsTheSameWithCaptureOnAndOff) {
  const FloatData validation(planar_rows(40, kFeatures, 2), kFeatures);
  const auto plain = run(tiny_config(), plain_options(), 3, validation.data.get());
  const auto captured = run(tiny_config(), TrainOptions(), 4, validation.data.get());
  ASSERT_TRUE(plain.metrics.back().validation_loss.has_value());
  EXPECT_EQ(plain.metrics.back().validation_loss, captured.metrics.back().validation_loss);
  expect_clean("validation");
}

Config diverging_config() {
  Config bad = tiny_config();
  bad.optimizer.kind = kernels::Optimizer::kSgd;
  bad.optimizer.momentum = 0;
  bad.optimizer.clip_norm = 0;
  bad.optimizer.learning_rate = 1e6;
  bad.train.epochs = 8;
  return bad;
}

TEST_F(FakeDevice, ALossThatIsNotFiniteHaltsAndKeepsTheParameters) {
  const Config bad = diverging_config();
  for (uint64_t seed = 0; seed < 3; ++seed) {
    const TemporaryFolder folder;
    TrainOptions options;
    options.directory = open_run_directory(folder / "bad", RunUse::kNew);
    try {
      run(bad, options, seed);
      FAIL() << "it did not diverge";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kDiverged) << error.what();
    }
    const ModelFile kept = load_model(folder / "bad");
    for (const auto& values : kept.parameters)
      for (const float value : values) ASSERT_TRUE(std::isfinite(value));
    expect_clean("halted training");
  }
}

class FakeDeviceWithState : public FakeDevice {
 protected:
  FakeDeviceWithState() {
    stateful::device_launch<RunningMean> = launch;
    stateful::device_launch<Centre> = launch;
  }
  const WithCentre part_;
};

TEST_F(FakeDeviceWithState, ItIsAsOnTheHostAndItsBitsDoNotDependOnCaptureOrLateness) {
  const ModelFile expected = run(tiny_config(), plain_options()).model;
  TrainOptions many, slots;
  slots.residency = Residency::kSlots;
  for (uint64_t seed = 1; seed < 5; ++seed) {
    EXPECT_EQ(run(tiny_config(), seed % 2 == 0 ? many : slots, seed).model.states, expected.states);
    expect_clean("training with state");
  }
  const ModelFile host =
      train(*create_host_backend(1), tiny_config(), *data_.data, nullptr, TrainOptions(), {}).model;
  ASSERT_EQ(host.states.size(), 1u);
  for (size_t k = 0; k < host.states[0].size(); ++k)
    EXPECT_NEAR(expected.states[0][k], host.states[0][k], 2e-3);  // as the weights that make it
}

// Steps grow until no weights survive them; at the step before everything was well.
TEST_F(FakeDeviceWithState, AVoidStepLeavesItAsItWas) {
  const Config bad = diverging_config();
  for (uint64_t seed = 0; seed < 3; ++seed) {
    const TemporaryFolder folder;
    TrainOptions options;
    options.directory = open_run_directory(folder / "bad", RunUse::kNew);
    EXPECT_THROW(run(bad, options, seed), Error);
    const ModelFile kept = load_model(folder / "bad");
    for (const float value : kept.states.at(0)) EXPECT_TRUE(std::isfinite(value));
    expect_clean("halted training with state");
  }
}

// With room for two slots and not much more, the data stay out; nor have the scores at the end room
// for as many rows at once as they would like.
TEST_F(FakeDevice, DataThatDoNotFitAreFedThroughSlotsWithTheSameBits) {
  const FloatData many(planar_rows(4000, kFeatures, 1), kFeatures);
  Config config = tiny_config();
  config.train.epochs = 1;
  config.train.batch_size = 100;
  config = resolved(config, default_scale(*many.data));
  const auto result_of = [&](Residency residency, uint64_t memory_bytes) {
    fake_cuda::reset(5);
    fake_cuda::set_memory_bytes(memory_bytes);
    TrainOptions options;
    options.residency = residency;
    const auto backend = create_cuda_backend();
    return train(*backend, config, *many.data, nullptr, options, {}).model;
  };
  const ModelFile resident = result_of(Residency::kResident, kPlenty);
  const uint64_t for_slots = bytes_of_session(config, *many.data, Residency::kSlots);
  ASSERT_LT(for_slots, many.values.size() * sizeof(float));
  const ModelFile chosen = result_of(Residency::kAuto, for_slots + 1024);
  EXPECT_EQ(bits_of(chosen), bits_of(resident));
  EXPECT_EQ(chosen.threshold, resident.threshold);
}

TEST_F(FakeDevice, TrainingWithTooLittleMemorySaysWhatIsMissingAndGivesAllBack) {
  const uint64_t needed = bytes_of_session(resolved(tiny_config(), default_scale(*data_.data)),
                                           *data_.data, Residency::kResident);
  for (const uint64_t bytes : {uint64_t{0}, needed / 4, needed / 2, needed - 256}) {
    fake_cuda::reset();
    fake_cuda::set_memory_bytes(bytes);
    TrainOptions resident;
    resident.residency = Residency::kResident;
    try {
      const auto backend = create_cuda_backend();
      train(*backend, tiny_config(), *data_.data, nullptr, resident, {});
      FAIL() << bytes << " were enough";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kResource);
      EXPECT_THAT(error.what(), HasSubstr("wanted"));
      EXPECT_THAT(error.what(), HasSubstr("free"));
    }
    expect_clean("out of memory");
  }
}

// A sample of the calls of a training: the first ones, then further and further apart.
void fail_some(const std::function<void()>& act, void (*fail)(int64_t k, cudaError_t error)) {
  for (int64_t k = 1; k < 100000; k += 1 + k / 6) {
    SCOPED_TRACE(k);
    fake_cuda::reset(static_cast<uint64_t>(k % 4));
    fail(k, cudaErrorLaunchFailure);
    bool failed = false;
    try {
      act();
    } catch (const Error& error) {
      failed = true;
      EXPECT_EQ(error.code(), ErrorCode::kDevice) << error.what();
    }
    EXPECT_THAT(fake_cuda::leaks(), IsEmpty());
    EXPECT_THAT(fake_cuda::violations(), IsEmpty());
    if (fake_cuda::failure_is_pending()) {
      EXPECT_FALSE(failed);
      EXPECT_GT(k, 100);
      return;
    }
  }
  FAIL() << "the training does not end";
}

TEST_F(FakeDevice, ATrainingSurvivesNoFailureOfTheDeviceAndLeavesNothingBehind) {
  const auto act = [&] {
    const auto backend = create_cuda_backend();
    train(*backend, tiny_config(), *data_.data, nullptr, TrainOptions(), {});
  };
  fail_some(act, fake_cuda::fail_call);
  fail_some(act, fake_cuda::fail_operation);
}

TEST_F(FakeDevice, ARowsCodeDependsOnNothingButTheRow) {
  const ModelFile model = run(tiny_config(), TrainOptions()).model;
  const auto encode = [&](uint64_t seed, const InferenceOptions& options, uint64_t piece) {
    fake_cuda::reset(seed);
    const auto backend = create_cuda_backend();
    const Inference inference(*backend, model, options);
    std::vector<float> codes(kRows * static_cast<uint64_t>(inference.code_size()));
    const auto width = static_cast<size_t>(inference.code_size());
    for (uint64_t row = 0; row < kRows; row += piece) {
      const uint64_t count = std::min(piece, kRows - row);
      const std::span<const float> rows(data_.values.data() + row * kFeatures, count * kFeatures);
      inference.encode({DType::kF32, false, std::as_bytes(rows), count},
                       std::span(codes).subspan(row * width, count * width));
    }
    return codes;
  };
  for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
    InferenceOptions plain, captured;
    plain.precision = captured.precision = precision;
    plain.capture = Capture::kOff;
    const std::vector<float> expected = encode(0, plain, kRows);
    uint64_t seed = 1;
    for (const uint64_t piece : {1, 7, 32, 70}) {
      EXPECT_EQ(encode(seed++, captured, piece), expected) << piece;
      EXPECT_EQ(encode(seed++, plain, piece), expected) << piece;
      expect_clean("encoding");
    }
  }
}

}  // namespace
}  // namespace diabolo
