// Training: that it learns, that what should not matter does not, and that it ends as it should.
#include <gmock/gmock.h>

#include <limits>

#include "infer/inference.h"
#include "infer/score.h"
#include "infer/threshold.h"
#include "train/train_session.h"
#include "train/train_test.h"
#include "train/training_fixture.h"

namespace diabolo {
namespace {

using testing::HasSubstr;

TEST_F(TrainTest, LearnsAPlane) {
  Config config = small_config();
  config.train.epochs = 60;
  config.model.encoder.activation = config.model.decoder.activation =
      kernels::Activation::kIdentity;
  const TrainResult result = run(config, *data_.data);
  ASSERT_EQ(result.metrics.size(), 60u);
  EXPECT_GT(result.metrics.front().loss, 0.5);  // standardised rows have a mean square of 1
  EXPECT_LT(result.metrics.back().loss, 0.02);
  EXPECT_EQ(result.metrics.back().step, 600u);
  EXPECT_EQ(result.metrics.back().samples, 18000u);
  EXPECT_FALSE(result.is_cancelled);
}

// Everything that only changes how steps are started.
TEST_F(TrainTest, BitsDoNotDependOnHowStepsAreLaunched) {
  for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
    if (precision == Precision::kBf16 && !backend_->info().cpu.has_bf16) continue;
    Config config = small_config();
    config.train.precision = precision;
    config.model.corruption = {CorruptionKind::kGaussian, 0.3, ClipKind::kNone};
    config.model.encoder.dropout = 0.1;
    set_penalty(config, kL2Term, 1e-4);
    config.optimizer.clip_norm = 1;
    TrainOptions plain;
    plain.capture = Capture::kOff;
    plain.max_steps_per_launch = 1;
    const TrainResult expected = run(config, *data_.data, plain);
    TrainOptions many, slots, single;
    slots.residency = Residency::kSlots;
    single.max_steps_per_launch = 1;
    for (const TrainOptions* options : {&many, &slots, &single}) {
      const TrainResult found = run(config, *data_.data, *options);
      EXPECT_EQ(bits_of(found.model), bits_of(expected.model));
      EXPECT_EQ(found.metrics.back().loss, expected.metrics.back().loss);
      EXPECT_EQ(found.model.threshold, expected.model.threshold);
    }
  }
}

// One epoch of bf16 from the same weights: each loss is a mean over rounded operands.
TEST_F(TrainTest, Bf16TrainsAsF32Does) {
  Config config = small_config();
  const TrainResult exact = run(config, *data_.data);
  config.train.precision = Precision::kBf16;
  const TrainResult rounded = run(config, *data_.data);
  EXPECT_NE(bits_of(rounded.model), bits_of(exact.model));
  for (size_t i = 0; i < exact.metrics.size(); ++i)
    EXPECT_NEAR(rounded.metrics[i].loss, exact.metrics[i].loss, 0.01 * exact.metrics[i].loss);
}

// The first step reads weights that no step has rounded yet.
TEST_F(TrainTest, TheFirstBf16StepReadsTheWeightsThatWereSet) {
  const auto first_loss = [&](Precision precision, float gain) {
    Config config = small_config();
    config.train.precision = precision;
    config = resolved(config, default_scale(*data_.data));
    const Network network = Network::of(config.model, 12);
    const TrainData data = load_train_data(config, *data_.data, nullptr, {});
    auto parameters = initial_parameters(network, 1);
    for (auto& values : parameters)
      for (float& value : values) value *= gain;
    TrainSession session(*backend_, config, network, data, {});
    session.set_parameters(parameters);
    session.begin_epoch(0, 0, 0);
    session.launch(1);
    return session.wait_for_oldest().losses.at(0);
  };
  const float exact = first_loss(Precision::kF32, 4);
  EXPECT_GT(std::fabs(exact - first_loss(Precision::kF32, 0)), 0.2f * exact);
  EXPECT_NEAR(first_loss(Precision::kBf16, 4), exact, 0.02f * exact);
}

TEST_F(TrainTest, TheThresholdIsTheQuantileThatWasAskedFor) {
  Config config = small_config();
  config.output.quantile = 0.7;
  const ModelFile model = run(config, *data_.data).model;
  const Inference inference(*backend_, model, {});
  std::vector<float> scores(300);
  Scores out;
  out.score = scores;
  inference.score({DType::kF32, false, std::as_bytes(std::span(data_.values)), 300}, out);
  EXPECT_EQ(model.threshold_quantile, 0.7);
  EXPECT_NEAR(*model.threshold, quantile(scores, 0.7), 1e-5);
}

TEST_F(TrainTest, BytesFromSlotsAreThoseInPlace) {
  const ByteData bytes(100, 10, 3);
  Config config = small_config();
  config.data.scale = Scale::kUnit;
  TrainOptions slots;
  slots.residency = Residency::kSlots;
  EXPECT_EQ(bits_of(run(config, *bytes.data).model),
            bits_of(run(config, *bytes.data, slots).model));
}

TEST_F(TrainTest, SeedDecidesAll) {
  Config config = small_config();
  const auto first = bits_of(run(config, *data_.data).model);
  EXPECT_EQ(bits_of(run(config, *data_.data).model), first);
  config.train.seed = 8;
  EXPECT_NE(bits_of(run(config, *data_.data).model), first);
}

TEST_F(TrainTest, EveryOptionOfTheModelTrains) {
  std::vector<Config> configs(8, small_config());
  configs[0].model.decoder.tied = true;
  configs[1].model.encoder.hidden = {};
  configs[2].model.corruption = {CorruptionKind::kMasking, 0.2, ClipKind::kAuto};
  configs[3].model.encoder.activation = kernels::Activation::kGelu;
  configs[3].model.decoder.activation = kernels::Activation::kSilu;
  configs[4].optimizer.kind = kernels::Optimizer::kSgd;
  configs[4].optimizer.learning_rate = 0.05;
  configs[5].optimizer.kind = kernels::Optimizer::kAdamW;
  configs[5].model.loss.kind = kernels::Loss::kHuber;
  configs[6].data.scale = Scale::kMinmax;
  configs[6].model.loss.kind = kernels::Loss::kBce;
  configs[6].model.decoder.output = kernels::Activation::kSigmoid;
  configs[7].model.encoder.hidden = {20, 18, 16, 14, 12};  // more penalty terms than one sum takes
  set_penalty(configs[7], kL2Term, 1e-3);
  for (size_t i = 0; i < configs.size(); ++i) {
    SCOPED_TRACE(i);
    configs[i].train.epochs = 8;
    const TrainResult result = run(configs[i], *data_.data);
    EXPECT_LT(result.metrics.back().loss, 0.97 * result.metrics.front().loss);
    EXPECT_EQ(result.metrics.back().terms.size(), i == 7 ? 2 : 1);
  }
}

// One step, whose loss is that of the initial parameters.
TEST_F(TrainTest, TheTermsOfTheLossAreGivenByName) {
  Config config = small_config();
  set_penalty(config, kL2Term, 1e-2);
  config.train.batch_size = 5000;
  config.train.epochs = 1;
  const EpochMetrics first = run(config, *data_.data).metrics.front();
  const Network network =
      Network::of(resolved(config, default_scale(*data_.data)).model, data_.data->x().row.elems());
  const auto initial = initial_parameters(network, config.train.seed);
  double squares = 0;
  for (size_t p = 0; p < initial.size(); ++p)
    for (const float w : initial[p])
      if (network.parameters()[p].desc.rank() == 2)
        squares += static_cast<double>(w) * static_cast<double>(w);
  const double reconstruction = term(first, "reconstruction"), penalty = term(first, "penalty");
  EXPECT_NEAR(penalty, 1e-2 * squares, 1e-5 * squares);
  EXPECT_NEAR(reconstruction + penalty, first.loss, 1e-6 * first.loss);
  set_penalty(config, kL2Term, 0);
  const EpochMetrics plain = run(config, *data_.data).metrics.front();
  EXPECT_EQ(term(plain, "reconstruction"), plain.loss);
  EXPECT_EQ(plain.terms.size(), 1);
  EXPECT_FLOAT_EQ(static_cast<float>(reconstruction), static_cast<float>(plain.loss));
}

TEST_F(TrainTest, APenaltyCountsASharedWeightOnce) {
  Config config = small_config();
  config.model.decoder.tied = true;
  set_penalty(config, kL2Term, 1e-2);
  config.train.batch_size = 5000;
  config.train.epochs = 1;
  const Network network = Network::of(resolved(config, default_scale(*data_.data)).model, 12);
  double squares = 0;
  for (const auto& values : initial_parameters(network, config.train.seed))
    if (values.size() > 16)  // biases are shorter
      for (const float w : values) squares += static_cast<double>(w) * static_cast<double>(w);
  const EpochMetrics first = run(config, *data_.data).metrics.front();
  EXPECT_NEAR(term(first, "penalty"), 1e-2 * squares, 1e-5 * squares);
}

TEST_F(TrainTest, TheTermsAreMeansOverTheEpochsSteps) {
  Config config = small_config();
  set_penalty(config, kL2Term, 1e-2);
  for (const EpochMetrics& epoch : run(config, *data_.data).metrics)
    EXPECT_NEAR(term(epoch, "reconstruction") + term(epoch, "penalty"), epoch.loss,
                1e-6 * epoch.loss);
}

TEST_F(TrainTest, AnEpochsLearningRateIsThatOfItsLastStep) {
  Config config = small_config();
  config.optimizer.learning_rate = 0.01;
  config.schedule.warmup_steps = 100;
  const auto metrics = run(config, *data_.data).metrics;
  for (size_t i = 0; i < metrics.size(); ++i)  // of ten steps each
    EXPECT_DOUBLE_EQ(metrics[i].learning_rate, 0.01 * static_cast<double>(10 * (i + 1)) / 100);
}

TEST_F(TrainTest, ABatchLargerThanTheDataIsAllOfIt) {
  Config config = small_config();
  config.train.batch_size = 5000;
  const TrainResult result = run(config, *data_.data);
  EXPECT_EQ(result.metrics.back().step, 3u);
}

TEST_F(TrainTest, NotFiniteLossEndsWithTheParametersBeforeIt) {
  TemporaryFolder folder;
  TrainOptions options;
  Config bad = small_config();
  bad.optimizer.kind = kernels::Optimizer::kSgd;
  bad.optimizer.momentum = 0;
  bad.optimizer.learning_rate = 1e6;
  bad.train.epochs = 5;
  options.directory = open_run_directory(folder / "bad", RunUse::kNew);
  const Error error = error_of(bad, *data_.data, options);
  EXPECT_EQ(error.code(), ErrorCode::kDiverged);
  EXPECT_THAT(error.what(), HasSubstr("step"));
  const ModelFile kept = load_model(folder / "bad");
  for (const auto& values : kept.parameters)
    for (const float value : values) EXPECT_TRUE(std::isfinite(value));
}

TEST_F(TrainTest, BadValuesAreNamedBeforeAnyStep) {
  std::vector<float> rows = planar_rows(300, 12, 1);
  rows[17 * 12 + 5] = std::numeric_limits<float>::quiet_NaN();
  const FloatData broken(rows, 12);
  TemporaryFolder folder;
  TrainOptions options;
  options.directory = open_run_directory(folder / "run", RunUse::kNew);
  const Error error = error_of(small_config(), *broken.data, options);
  EXPECT_EQ(error.code(), ErrorCode::kData);
  EXPECT_THAT(error.what(), HasSubstr("row 17, column 5"));
  EXPECT_FALSE(std::filesystem::exists(options.directory->checkpoint()));
  Config skip = small_config();
  skip.data.on_bad_value = BadValue::kSkip;
  EXPECT_EQ(run(skip, *broken.data).model.provenance.rows, 299u);
}

// BCE below 0 is no cross-entropy, and would be the best of all validation losses.
TEST_F(TrainTest, TargetsOutsideTheRangeOfTheLossAreNamed) {
  Config config = small_config();
  config.model.loss.kind = kernels::Loss::kBce;
  config.model.decoder.output = kernels::Activation::kSigmoid;
  config.data.scale = Scale::kMinmax;
  EXPECT_GT(run(config, *data_.data).metrics.back().loss, 0.0);
  std::vector<float> rows = planar_rows(100, 12, 1);
  const FloatData within(rows, 12);
  EXPECT_GT(run(config, *data_.data, {}, within.data.get()).metrics.back().validation_loss, 0.0);
  rows[60 * 12 + 7] = 1000;
  rows[60 * 12 + 9] = -1000;
  rows[20 * 12 + 9] = std::numeric_limits<float>::quiet_NaN();
  const FloatData beyond(rows, 12);
  for (const BadValue policy : {BadValue::kZero, BadValue::kSkip}) {
    config.data.on_bad_value = policy;
    const Error error = error_of(config, *data_.data, {}, beyond.data.get());
    EXPECT_EQ(error.code(), ErrorCode::kData);
    EXPECT_EQ(error.position(), (DataPosition{60, 7}));
    EXPECT_THAT(error.what(), HasSubstr("loss bce needs targets in [0,1]"));
  }
}

// Bytes are scaled on the device, but looked at too; so are other types where bytes were trained
// on.
TEST_F(TrainTest, BytesAreTargetsToo) {
  Config config = small_config();
  config.model.loss.kind = kernels::Loss::kBce;
  config.model.decoder.output = kernels::Activation::kSigmoid;
  config.data.scale = Scale::kMinmax;
  ByteData bytes(100, 12, 3), other(100, 12, 3);
  for (ByteData* data_set : {&bytes, &other})
    for (uint8_t& value : data_set->values) value = std::min<uint8_t>(value, 200);
  EXPECT_NO_THROW(run(config, *bytes.data, {}, other.data.get()));
  other.values[99 * 12] = 255;
  EXPECT_EQ(error_of(config, *bytes.data, {}, other.data.get()).position(), (DataPosition{99, 0}));
  config.data.scale = Scale::kUnit;
  EXPECT_NO_THROW(run(config, *bytes.data, {}, other.data.get()));
  const FloatData wide(std::vector<float>(12, 256), 12);
  EXPECT_EQ(error_of(config, *bytes.data, {}, wide.data.get()).position(), (DataPosition{0, 0}));
}

// Claims more rows than any memory holds.
class HugeData : public Dataset {
 public:
  HugeData() : Dataset("huge.npy", {{"x", TensorDesc(DType::kF32, {1000})}}, uint64_t{1} << 40) {}

 private:
  uint64_t read_rows(uint64_t, uint64_t, std::span<const FieldRows>) const override {
    ADD_FAILURE() << "read, though it cannot fit";
    return 0;
  }
};

TEST_F(TrainTest, DataThatDoNotFitInMemoryAreRefusedWithBothSizes) {
  const Error error = error_of(small_config(), HugeData());
  EXPECT_EQ(error.code(), ErrorCode::kResource);
  EXPECT_THAT(error.what(), HasSubstr("4398046511104000 bytes"));
  EXPECT_THAT(error.what(), HasSubstr("are free"));
}

}  // namespace
}  // namespace diabolo
