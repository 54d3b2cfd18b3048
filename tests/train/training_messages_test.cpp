// What a training says when it warns or refuses: the reason, and a way out.
#include <gmock/gmock.h>

#include "base/expect_error.h"
#include "train/training_fixture.h"

namespace diabolo {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Config split_config() {
  Config config = small_config();
  config.train.validation = "0.2";
  config.train.patience = 0;
  return config;
}

class TrainingMessages : public ::testing::Test {
 protected:
  TrainResult run(const Config& config, const Dataset& data, const TrainOptions& options = {},
                  const Dataset* validation = nullptr, const TrainCallbacks& callbacks = {}) {
    return train(*backend_, config, data, validation, options, callbacks);
  }
  Error error_of(const Config& config, const Dataset& data) {
    try {
      run(config, data);
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "no error";
    return Error(ErrorCode::kOk, "");
  }
  TrainOptions options_for(const std::string& name, RunUse use) {
    TrainOptions options;
    options.directory = open_run_directory(folder_ / name, use);
    options.resume = use == RunUse::kResume;
    return options;
  }
  void stop_after_an_epoch(const Config& config) {
    TrainCallbacks callbacks;
    callbacks.progress = [](const TrainProgress& now) { return now.step < 10; };
    run(config, *data_.data, options_for("run", RunUse::kNew), nullptr, callbacks);
  }

  TemporaryFolder folder_;
  std::unique_ptr<Backend> backend_ = create_host_backend(2);
  FloatData data_{planar_rows(300, 12, 1), 12};
};

// Held-out rows leave the training range: the message has a way out.
TEST_F(TrainingMessages, TargetsOutsideOfTheRangeHaveARemedy) {
  Config config = small_config();
  config.model.loss.kind = kernels::Loss::kBce;
  config.model.decoder.output = kernels::Activation::kSigmoid;
  config.data.scale = Scale::kMinmax;
  config.train.validation = "0.2";
  std::vector<float> rows;
  for (uint32_t i = 0; i < 300 * 12; ++i)
    rows.push_back(1 / (1 + std::exp(-kernels::normal_at({1, 3, 0}, i, 0))));
  const FloatData within(rows, 12);
  EXPECT_THAT(error_of(config, *within.data).what(), HasSubstr("scale none for numbers in [0,1]"));
  config.data.scale = Scale::kNone;
  EXPECT_GT(*run(config, *within.data).metrics.back().validation_loss, 0.0);
}

TEST_F(TrainingMessages, WhatNeverComesToItsValueIsSaid) {
  std::vector<std::string> said;
  TrainOptions options;
  options.log = Log([&](LogLevel level, std::string_view line) {
    if (level == LogLevel::kWarning && line.find("rises over") != std::string_view::npos)
      said.emplace_back(line);
  });
  Config config = small_config();
  set_config(config, "model.penalty.code_l1", 1e-3);
  set_config(config, "model.penalty.code_l1_warmup_steps", int64_t{100000});
  config.schedule.warmup_steps = 200000;
  config.train.epochs = 1;
  run(config, *data_.data, options);
  ASSERT_EQ(said.size(), 2u);
  EXPECT_THAT(said[0], HasSubstr("the learning rate rises over 200000 steps"));
  EXPECT_THAT(said[1], HasSubstr("code_l1"));
}

// In a step it would be 0; a model that was trained so opens, and its training goes on.
TEST_F(TrainingMessages, AWeightThatF32DoesNotTellFromZeroIsRefused) {
  Config penalty = small_config(), code = small_config();
  set_config(penalty, "model.penalty.code_l1", 1e-45);
  set_config_text(code, "model.code.kind", "variational");
  set_config_text(code, "model.code.beta", "1e-50");
  for (const auto& [config, term] : {std::pair(penalty, "code_l1"), std::pair(code, "kl")}) {
    const std::string expected =
        cat("the weight of ", term, " in the loss: expected 0 or at least");
    EXPECT_THAT(error_of(config, *data_.data).what(), HasSubstr(expected));
    EXPECT_THAT(testing::error_of([&, &used = config] {
                  estimate_training(*backend_, used, *data_.data, nullptr);
                }).what(),
                HasSubstr(expected));
    const Network network = Network::of(resolved(config, Scale::kStandard).model, 12);
    EXPECT_EQ(network.features, 12);
  }
}

TEST_F(TrainingMessages, AValidationLossThatIsNotFiniteIsSaidOnce) {
  std::vector<float> rows = planar_rows(20, 12, 2);
  rows[7 * 12 + 3] = 1e30f;
  const FloatData extreme(rows, 12);
  std::vector<std::string> said;
  TrainOptions options;
  options.log = Log([&](LogLevel level, std::string_view line) {
    if (level == LogLevel::kWarning && line.find("not finite") != std::string_view::npos)
      said.emplace_back(line);
  });
  const TrainResult result = run(small_config(), *data_.data, options, extreme.data.get());
  ASSERT_EQ(said.size(), 1u);
  EXPECT_THAT(said[0],
              HasSubstr("rows: row 7 is too large for the loss in f32: the validation loss "
                        "of epoch 1 is not finite"));
  EXPECT_FALSE(result.metrics.back().validation_loss.has_value());
}

// What differs, or may: names of files, and what early builds did otherwise.
TEST_F(TrainingMessages, TheReasonOfARefusalIsNamed) {
  Config config = split_config();
  stop_after_an_epoch(config);
  const auto message = [&](const Config& other) {
    TrainOptions options = options_for("run", RunUse::kResume);
    options.renamed = "train.validation = \"a\", now \"b\"";
    try {
      run(other, *data_.data, options);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  config.train.seed = 8;
  EXPECT_THAT(message(config),
              HasSubstr("configuration (train.validation = \"a\", now \"b\"), or was "
                        "begun by an early build of 0.1"));
  config.train.validation = "";
  EXPECT_THAT(message(config), Not(HasSubstr("early build")));
}

// Labels serve a later evaluate.
TEST_F(TrainingMessages, GoesOnWithoutItsLabels) {
  Config config = split_config();
  const std::string labels = folder_ / "labels.raw";
  config.data.labels = labels;
  EXPECT_THROW(run(config, *data_.data, options_for("new", RunUse::kNew)), Error);
  config.data.labels = "";
  stop_after_an_epoch(config);
  config.data.labels = labels;
  TrainOptions options = options_for("run", RunUse::kResume);
  std::string said;
  options.log = Log([&](LogLevel level, std::string_view line) {
    if (level == LogLevel::kWarning) said += cat(line, "\n");
  });
  EXPECT_EQ(run(config, *data_.data, options).epochs, config.train.epochs);
  EXPECT_THAT(said, HasSubstr("labels.raw: "));
  EXPECT_THAT(said, HasSubstr("goes on without labels"));
}

// Those that its rows bring along, too.
TEST_F(TrainingMessages, GoesOnWithoutALabelThatIsNone) {
  std::vector<float> labels(300, 1);
  labels[7] = std::nanf("");
  const auto table = memory_table(
      "rows", {{{"x", TensorDesc(DType::kF32, {12})}, std::as_bytes(std::span(data_.values)), {}},
               {{"label", TensorDesc(DType::kF32, {}), FieldRole::kLabel},
                std::as_bytes(std::span(labels)),
                {}}});
  EXPECT_THAT(error_of(split_config(), *table).what(), HasSubstr("row 7 has a label"));
  stop_after_an_epoch(split_config());
  TrainOptions options = options_for("run", RunUse::kResume);
  std::string said;
  options.log = Log([&](LogLevel level, std::string_view line) {
    if (level == LogLevel::kWarning) said += cat(line, "\n");
  });
  EXPECT_EQ(run(split_config(), *table, options).epochs, split_config().train.epochs);
  EXPECT_THAT(said, HasSubstr("rows: row 7 has a label"));
  EXPECT_THAT(said, HasSubstr("goes on without labels"));
}

}  // namespace
}  // namespace diabolo
