// Training: that it learns, that what should not matter does not, and that it ends as it should.
#include <gmock/gmock.h>

#include <limits>

#include "model/presets.h"
#include "run/inference.h"
#include "run/score.h"
#include "run/threshold.h"
#include "run/train_session.h"
#include "run/training_fixture.h"

namespace diabolo {
namespace {

using testing::HasSubstr;

class TrainTest : public testing::Test {
 protected:
  TrainResult run(const Config& config, const Dataset& data, const TrainOptions& options = {},
                  const Dataset* validation = nullptr, const TrainCallbacks& callbacks = {}) {
    return train(*backend_, config, data, validation, options, callbacks);
  }
  Error error_of(const Config& config, const Dataset& data, const TrainOptions& options = {},
                 const Dataset* validation = nullptr) {
    try {
      run(config, data, options, validation);
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "no error";
    return Error(ErrorCode::kOk, "");
  }

  std::unique_ptr<Backend> backend_ = create_host_backend(2);
  FloatData data_{planar_rows(300, 12, 1), 12};
};

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
    config.model.penalty.l2 = 1e-4;
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
  configs[7].model.penalty.l2 = 1e-3;
  for (size_t i = 0; i < configs.size(); ++i) {
    SCOPED_TRACE(i);
    configs[i].train.epochs = 8;
    const TrainResult result = run(configs[i], *data_.data);
    EXPECT_LT(result.metrics.back().loss, 0.97 * result.metrics.front().loss);
    EXPECT_EQ(result.metrics.back().penalty.has_value(), i == 7);
  }
}

// One step, whose loss is that of the initial parameters.
TEST_F(TrainTest, TheTermsOfTheLossAreGivenByName) {
  Config config = small_config();
  config.model.penalty.l2 = 1e-2;
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
  ASSERT_TRUE(first.penalty.has_value());
  EXPECT_NEAR(*first.penalty, 1e-2 * squares, 1e-5 * squares);
  EXPECT_NEAR(first.reconstruction + *first.penalty, first.loss, 1e-6 * first.loss);
  config.model.penalty.l2 = 0;
  const EpochMetrics plain = run(config, *data_.data).metrics.front();
  EXPECT_EQ(plain.reconstruction, plain.loss);
  EXPECT_FALSE(plain.penalty.has_value());
  EXPECT_FLOAT_EQ(static_cast<float>(first.reconstruction), static_cast<float>(plain.loss));
}

TEST_F(TrainTest, APenaltyCountsASharedWeightOnce) {
  Config config = small_config();
  config.model.decoder.tied = true;
  config.model.penalty.l2 = 1e-2;
  config.train.batch_size = 5000;
  config.train.epochs = 1;
  const Network network = Network::of(resolved(config, default_scale(*data_.data)).model, 12);
  double squares = 0;
  for (const auto& values : initial_parameters(network, config.train.seed))
    if (values.size() > 16)  // biases are shorter
      for (const float w : values) squares += static_cast<double>(w) * static_cast<double>(w);
  const EpochMetrics first = run(config, *data_.data).metrics.front();
  EXPECT_NEAR(*first.penalty, 1e-2 * squares, 1e-5 * squares);
}

TEST_F(TrainTest, TheTermsAreMeansOverTheEpochsSteps) {
  Config config = small_config();
  config.model.penalty.l2 = 1e-2;
  for (const EpochMetrics& epoch : run(config, *data_.data).metrics)
    EXPECT_NEAR(epoch.reconstruction + epoch.penalty.value(), epoch.loss, 1e-6 * epoch.loss);
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

// Bytes are scaled on the device, but looked at too; so are other types where bytes were trained on.
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
  uint64_t read_rows(size_t, uint64_t, uint64_t, std::span<std::byte>) const override {
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

TEST_F(TrainTest, EarlyStoppingKeepsTheBest) {
  Config config = small_config();
  config.train.epochs = 200;
  config.train.patience = 3;
  config.train.validation = "0.2";
  config.optimizer.learning_rate = 0.05;  // restless enough to stop soon
  TemporaryFolder folder;
  TrainOptions options;
  options.directory = open_run_directory(folder / "run", RunUse::kNew);
  const TrainResult result = run(config, *data_.data, options);
  EXPECT_TRUE(result.is_stopped_early);
  EXPECT_LT(result.epochs, 200);
  EXPECT_EQ(result.model.provenance.rows, 240u);
  size_t best = 0;
  for (size_t i = 0; i < result.metrics.size(); ++i)
    if (*result.metrics[i].validation_loss < *result.metrics[best].validation_loss) best = i;
  EXPECT_EQ(best + 1 + 3, result.metrics.size());
  EXPECT_EQ(result.model.provenance.epochs, best + 1);
  EXPECT_EQ(bits_of(load_model(folder / "run")), bits_of(result.model));
}

TEST_F(TrainTest, ProgressHearsTheLastValidationLoss) {
  Config config = small_config();
  config.train.validation = "0.2";
  TrainProgress last;
  int64_t reports_of_a_first_epoch_without = 0;
  TrainCallbacks callbacks;
  callbacks.progress = [&](const TrainProgress& now) {
    reports_of_a_first_epoch_without += now.epoch == 2 && !now.validation_loss;
    last = now;
    return true;
  };
  const TrainResult result = train(*backend_, config, *data_.data, nullptr, {}, callbacks);
  EXPECT_EQ(last.epoch, config.train.epochs);
  EXPECT_EQ(last.samples, 3u * 240);
  EXPECT_EQ(last.loss, result.metrics.back().loss);
  EXPECT_EQ(last.validation_loss, result.metrics.back().validation_loss);
  EXPECT_EQ(reports_of_a_first_epoch_without, 0);
}

TEST_F(TrainTest, ValidationOfItsOwnIsNotTrainedOn) {
  const FloatData other(planar_rows(70, 12, 2), 12);
  Config config = small_config();
  config.train.epochs = 40;
  config.train.patience = 0;
  const TrainResult with = run(config, *data_.data, {}, other.data.get());
  ASSERT_TRUE(with.metrics.back().validation_loss.has_value());
  EXPECT_GT(*with.metrics.back().validation_loss, with.metrics.back().loss);
  const FloatData narrow(planar_rows(70, 11, 2), 11);
  EXPECT_EQ(error_of(config, *data_.data, {}, narrow.data.get()).code(), ErrorCode::kData);
}

// The mean loss of the validation rows is the mean of their scores.
TEST_F(TrainTest, ValidationLossIsTheMeanScore) {
  const FloatData other(planar_rows(70, 12, 2), 12);
  const TrainResult result = run(small_config(), *data_.data, {}, other.data.get());
  const Inference inference(*backend_, result.model, {});
  std::vector<float> scores(70);
  Scores out;
  out.score = scores;
  inference.score({DType::kF32, false, std::as_bytes(std::span(other.values)), 70}, out);
  double mean = 0;
  for (const float score : scores) mean += static_cast<double>(score) / 70;
  double best = *result.metrics.front().validation_loss;
  for (const EpochMetrics& each : result.metrics) best = std::min(best, *each.validation_loss);
  EXPECT_NEAR(mean, best, 1e-5 * best);
}

TEST_F(TrainTest, EstimateSaysWhatTrainingTakes) {
  const TrainEstimate estimate = estimate_training(*backend_, small_config(), *data_.data);
  EXPECT_EQ(estimate.rows, 300u);
  EXPECT_EQ(estimate.parameters,
            12u * 16 + 16 + 16 * 8 + 8 + 8 * 3 + 3 + 3 * 8 + 8 + 8 * 16 + 16 + 16 * 12 + 12);
  EXPECT_EQ(estimate.steps, 30u);
  EXPECT_EQ(estimate.data_bytes, 300u * 12 * 4);
  EXPECT_GT(estimate.arena_bytes, 0u);
}

TEST_F(TrainTest, AllocatesWhatADryRunSays) {
  const ByteData bytes(77, 12, 3);
  for (const Dataset* data : {data_.data.get(), bytes.data.get()}) {
    for (const char* changed :
         {"model.penalty.l2=0.1", "optimizer.kind=sgd", "train.precision=bf16",
          "train.batch_size=1000", "optimizer.clip_norm=1"}) {
      Config config = small_config();
      set_config_pair(config, changed);
      if (config.train.precision == Precision::kBf16 && !backend_->info().cpu.has_bf16) continue;
      const TrainEstimate said = estimate_training(*backend_, config, *data);
      config = resolved(config, default_scale(*data));
      const TrainData loaded = load_train_data(config, *data, nullptr, {});
      const Network network = Network::of(config.model, loaded.train.features);
      const TrainSession session(*backend_, config, network, loaded, {});
      EXPECT_EQ(said.store_bytes, session.store_bytes()) << changed;
      EXPECT_EQ(said.arena_bytes, session.arena_bytes()) << changed;
      EXPECT_EQ(said.data_bytes, loaded.train.bytes.size()) << changed;
    }
  }
}

// What a lane holds is bounded by the rows that there are and, where they are wide, in bytes.
TEST_F(TrainTest, ADryRunCountsTheScoringAtTheEnd) {
  constexpr int64_t kWide = 200000;
  const FloatData wide(planar_rows(20, kWide, 1), kWide);
  Config config = small_config();
  config.model.encoder.hidden = {2};
  for (const Dataset* data : {data_.data.get(), wide.data.get()}) {
    const TrainEstimate said = estimate_training(*backend_, config, *data);
    const TrainResult result = run(config, *data);
    const Inference inference(*backend_, result.model, threshold_options(config.train, said.rows));
    const FloatData& values = data == wide.data.get() ? wide : data_;
    std::vector<float> scores(said.rows);
    Scores out;
    out.score = scores;
    inference.score({DType::kF32, false, std::as_bytes(std::span(values.values)), said.rows}, out);
    EXPECT_GE(said.scoring_bytes, inference.bytes());
    EXPECT_LE(said.scoring_bytes, 5 * inference.bytes());  // which counts no staging, and a lane
    EXPECT_GE(said.peak_bytes, said.data_bytes + said.scoring_bytes);
    EXPECT_GE(said.peak_bytes, said.data_bytes + said.store_bytes + said.arena_bytes);
    // 20 rows of input and two activations as wide, for each of two lanes, and the weights.
    if (data == wide.data.get()) {
      EXPECT_LT(said.scoring_bytes, 2 * 4 * 20 * kWide * sizeof(float));
    }
  }
}

}  // namespace
}  // namespace diabolo
