// The code "variational": what is trained, what is used, and what its keys do.
#include <gmock/gmock.h>

#include "infer/inference.h"
#include "jobs/encode_pipeline.h"
#include "model/config_toml.h"
#include "model/model_file.h"
#include "model/task.h"
#include "model/term.h"
#include "model/training_graph.h"
#include "ops/draw_normal.h"
#include "ops/gaussian_kl.h"
#include "ops/reparameterise.h"
#include "train/trainer.h"
#include "train/training_fixture.h"

namespace diabolo {
namespace {

using testing::HasSubstr;

Config variational_config() {
  Config config = small_config();
  set_config_text(config, "model.code.kind", "variational");
  return config;
}

std::vector<const OpDef*> ops_of(const Graph& graph) {
  std::vector<const OpDef*> ops;
  for (const Node& node : graph.nodes()) ops.push_back(node.op);
  return ops;
}

TEST(Variational, HasAHeadBesideTheMean) {
  const Config config = resolved(variational_config(), Scale::kStandard);
  const Network network = Network::of(config.model, 12);
  ASSERT_EQ(network.heads.size(), 1u);
  EXPECT_EQ(network.heads[0].name, "code.log_variance");
  EXPECT_EQ(network.heads[0].in_width(), 8);
  EXPECT_EQ(network.heads[0].out_width(), 3);
  const Network plain = Network::of(resolved(small_config(), Scale::kStandard).model, 12);
  EXPECT_EQ(network.parameter_count(), plain.parameter_count() + 8 * 3 + 3);
}

TEST(Variational, DrawsInTrainingAndValidationAndUsesTheMean) {
  using testing::Contains;
  using testing::Not;
  const Config config = resolved(variational_config(), Scale::kStandard);
  const Network network = Network::of(config.model, 12);
  TrainingGraphOptions options;
  options.rows = 4;
  for (const Graph& graph : {training_graph(config.model, network, options),
                             validation_graph(config.model, network, options)}) {
    EXPECT_THAT(ops_of(graph), Contains(&kReparameterise));
    EXPECT_THAT(ops_of(graph), Contains(&kGaussianKl));
  }
  for (const Task* task : tasks()) {
    const Graph graph = task_graph(*task, config.model, network, {.rows = 4});
    EXPECT_THAT(ops_of(graph), Not(Contains(&kReparameterise))) << task->name;
    EXPECT_EQ(std::ranges::count(ops_of(graph), &kDrawNormal), task == &kGenerateTask);
    EXPECT_EQ(graph.find("code.log_variance.weight", Role::kParameter), kNoValue) << task->name;
  }
}

TEST(Variational, ItsKeysAreForItAlone) {
  Config config = variational_config();
  set_config_text(config, "model.code.beta", "0.5");
  set_config_text(config, "model.code.beta_warmup_steps", "7");
  const auto terms = loss_terms(config.model);
  ASSERT_EQ(terms.size(), 2u);
  EXPECT_EQ(terms[1].name, "kl");
  EXPECT_EQ(terms[1].weight, 0.5);
  EXPECT_EQ(terms[1].warmup_steps, 7);
  EXPECT_THAT(config_toml(config), HasSubstr("beta = 0.5"));
  config.model.code.kind = "plain";
  EXPECT_EQ(loss_terms(config.model).size(), 1u);
  EXPECT_THAT(config_toml(config), Not(HasSubstr("beta =")));
  EXPECT_THROW(resolved(config, Scale::kStandard), Error) << "beta means nothing here";
}

// Codes of the prior, named by seed and row, go through the decoder.
TEST(Variational, GeneratesFromThePrior) {
  constexpr uint64_t kRows = 700, kCode = 3, kFeatures = 12;
  const FloatData data(planar_rows(300, kFeatures, 1), kFeatures);
  Config config = variational_config();
  const auto backend = create_host_backend(2);
  for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
    config.train.precision = precision;
    const ModelFile model = train(*backend, config, *data.data, nullptr, {}, {}).model;
    const Inference inference(*backend, model, {.precision = precision});
    const auto generated = [&](uint64_t rows, const TaskCall& call) {
      std::vector<float> out(rows * kFeatures);
      TaskCall given = call;
      given.rows = rows;
      inference.run(kGenerateTask, std::span<const RawRows>(),
                    std::array<TaskResults, 1>{std::span(out)}, {}, given);
      return out;
    };
    const double temperature = 0.5;
    std::vector<float> codes(kRows * kCode), expected(kRows * kFeatures);
    const kernels::RandomKey key{7, kernels::RandomPurpose::kDraw, 0, 0};
    for (uint32_t row = 0; row < kRows; ++row)
      for (uint32_t k = 0; k < kCode; ++k)
        codes[row * kCode + k] = static_cast<float>(temperature) * kernels::normal_at(key, row, k);
    inference.decode(codes, expected);
    const auto found = generated(kRows, {.seed = 7, .temperature = temperature});
    const float slack = precision == Precision::kF32 ? 1e-4f : 0.1f;
    for (size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], slack) << i;
    const auto few = generated(5, {.seed = 7, .temperature = temperature});
    EXPECT_TRUE(std::equal(few.begin(), few.end(), found.begin())) << "of no count";
    const auto later = generated(5, {.seed = 7, .first_row = 300, .temperature = temperature});
    EXPECT_TRUE(std::equal(later.begin(), later.end(), found.begin() + 300 * kFeatures));
    EXPECT_NE(generated(5, {.seed = 8, .temperature = temperature}), few);
    EXPECT_NE(generated(5, {.seed = 7}), few);
    for (const double bad : {0.0, -1.0, 2000.0, static_cast<double>(std::nanf(""))})
      EXPECT_THROW(generated(5, {.temperature = bad}), Error) << bad;
  }
}

// Resumed, and in whatever blocks, a file has the rows that memory has.
TEST(Variational, GeneratesFiles) {
  constexpr uint64_t kRows = 50, kFeatures = 12;
  const FloatData data(planar_rows(300, kFeatures, 1), kFeatures);
  const auto backend = create_host_backend(1);
  const ModelFile model = train(*backend, variational_config(), *data.data, nullptr, {}, {}).model;
  const TemporaryFolder folder;
  const auto made = rows_to_make(kRows, TensorDesc(DType::kF32, {kFeatures}));
  PipelineOptions options;
  options.task = &kGenerateTask;
  options.output = folder / "whole.raw";
  options.seed = 1;
  EXPECT_EQ(run_pipeline(*backend, model, *made, options).rows_written, kRows);
  const std::string whole = content_of(options.output);
  std::vector<float> drawn(kRows * kFeatures);
  Inference(*backend, model, {})
      .run(kGenerateTask, std::span<const RawRows>(), std::array<TaskResults, 1>{std::span(drawn)},
           {}, {.rows = kRows, .seed = 1});
  ASSERT_EQ(whole.size(), drawn.size() * sizeof(float));
  EXPECT_EQ(std::memcmp(drawn.data(), whole.data(), whole.size()), 0);
  options.output = folder / "parts.raw";
  options.batch_rows = 3;
  options.progress = [](const PipelineProgress& now) { return now.rows < 20; };
  EXPECT_TRUE(run_pipeline(*backend, model, *made, options).is_cancelled);
  options.progress = {};
  options.resume = true;
  options.seed = 2;
  EXPECT_THROW(run_pipeline(*backend, model, *made, options), Error) << "other draws";
  options.seed = 1;
  EXPECT_GT(run_pipeline(*backend, model, *made, options).resumed_rows, 0u);
  EXPECT_EQ(content_of(options.output), whole);
}

TEST(Variational, OtherKindsAreNotDrawn) {
  const FloatData data(planar_rows(30, 12, 1), 12);
  const auto backend = create_host_backend(1);
  const Inference inference(*backend,
                            train(*backend, small_config(), *data.data, nullptr, {}, {}).model, {});
  std::vector<float> out(300 * 12);
  const auto error_of = [&](const Task& task, std::span<const RawRows> in, const TaskCall& call) {
    try {
      inference.run(task, in, std::array<TaskResults, 1>{std::span(out)}, {}, call);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage);
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(error_of(kGenerateTask, {}, {.rows = 300}),
              HasSubstr("no distribution is known of codes of the kind plain"));
  const RawRows rows = {DType::kF32, false, std::as_bytes(std::span(data.values)), 30};
  EXPECT_THAT(error_of(kReconstructTask, std::span(&rows, 1), {.temperature = 2}),
              HasSubstr("temperature: reconstruct draws nothing"));
}

// Of 12 features in two dimensions, three numbers of code: it learns, both terms are said, and what
// is used does not draw.
TEST(Variational, LearnsAndIsTheSameEachTimeInUse) {
  const FloatData data(planar_rows(300, 12, 1), 12);
  Config config = variational_config();
  set_config_text(config, "model.code.beta", "0.01");
  config.train.epochs = 20;
  const auto backend = create_host_backend(1);
  for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
    config.train.precision = precision;
    const TrainResult result = train(*backend, config, *data.data, data.data.get(), {}, {});
    const auto& first = result.metrics.front();
    const auto& last = result.metrics.back();
    EXPECT_LT(last.loss, 0.7 * first.loss);
    EXPECT_LT(*last.validation_loss, 0.7 * *first.validation_loss);
    const TemporaryFolder folder;
    write_model(result.model, folder / "model");
    const ModelFile back = load_model(folder / "model");
    EXPECT_EQ(back.config.model.code.kind, "variational");
    const auto codes = [&](const ModelFile& model) {
      std::vector<float> out(300 * 3);
      Inference(*backend, model, {})
          .encode({DType::kF32, false, std::as_bytes(std::span(data.values)), 300}, out);
      return out;
    };
    EXPECT_EQ(codes(back), codes(result.model));
    // Two rows that are alike would be two draws.
    std::vector<float> twice(24);
    for (size_t f = 0; f < 24; ++f) twice[f] = data.values[f % 12];
    std::vector<float> out(6);
    Inference(*backend, back, {})
        .encode({DType::kF32, false, std::as_bytes(std::span(twice)), 2}, out);
    for (size_t k = 0; k < 3; ++k) EXPECT_EQ(out[k], out[3 + k]);
  }
}

// The encoder is one linear layer, whose codes and log-variances are computed here.
TEST(Variational, TheDivergenceIsThatOfItsCodes) {
  constexpr size_t kRows = 40, kFeatures = 12, kCode = 3;
  const FloatData data(planar_rows(kRows, kFeatures, 1), kFeatures);
  Config config = variational_config();
  config.data.scale = Scale::kNone;
  config.model.encoder.hidden = {};
  config.train.batch_size = kRows;
  config.train.epochs = 4;
  config.optimizer.kind = kernels::Optimizer::kSgd;
  config.optimizer.learning_rate = 0;
  const Network network = Network::of(resolved(config, Scale::kNone).model, kFeatures);
  const auto initial = initial_parameters(network, config.train.seed);
  const auto linear = [&](const char* name, size_t row, size_t k) {
    const auto specs = network.parameters();
    const auto place = std::ranges::find(specs, cat(name, ".weight"), &ParameterSpec::name);
    const auto at = static_cast<size_t>(place - specs.begin());
    double sum = static_cast<double>(initial[at + 1][k]);
    for (size_t f = 0; f < kFeatures; ++f)
      sum += static_cast<double>(data.values[row * kFeatures + f]) *
             static_cast<double>(initial[at][f * kCode + k]);
    return sum;
  };
  double raw = 0;
  for (size_t row = 0; row < kRows; ++row)
    for (size_t k = 0; k < kCode; ++k) {
      const double mean = linear("encoder.0", row, k);
      const double log_variance = linear("code.log_variance", row, k);
      raw += (mean * mean + std::exp(log_variance) - 1 - log_variance) / 2;
    }
  raw /= static_cast<double>(kRows * kFeatures);
  const auto backend = create_host_backend(1);
  const auto metrics_by = [&](const char* beta, const char* warmup) {
    set_config_text(config, "model.code.beta", beta);
    set_config_text(config, "model.code.beta_warmup_steps", warmup);
    return train(*backend, config, *data.data, data.data.get(), {}, {}).metrics;
  };
  const auto whole = metrics_by("0.7", "0");
  for (const EpochMetrics& step : whole) EXPECT_NEAR(term(step, "kl"), 0.7 * raw, 1e-5 * raw);
  // Validation has the whole weight at once, and draws of its own, which beta does not change.
  const auto warm = metrics_by("0.7", "4");
  const auto free = metrics_by("0", "0");
  for (size_t step = 0; step < 4; ++step) {
    EXPECT_NEAR(term(warm[step], "kl"), 0.7 * raw * static_cast<double>(step) / 4, 1e-5 * raw);
    EXPECT_EQ(term(warm[step], "reconstruction"), term(whole[step], "reconstruction"));
    EXPECT_NEAR(*warm[step].validation_loss, *free[step].validation_loss + 0.7 * raw, 1e-5);
  }
}

// Draws are named by their step, and so is the weight that warms up.
TEST(Variational, ResumedItHasTheBitsOfOneThatWasNotStopped) {
  const FloatData data(planar_rows(300, 12, 1), 12);
  const TemporaryFolder folder;
  const auto backend = create_host_backend(1);
  Config config = variational_config();
  config.train.validation = "0.2";
  set_config_text(config, "model.code.beta_warmup_steps", "20");
  const auto run = [&](const char* name, RunUse use, uint64_t stop_after) {
    TrainOptions options;
    options.directory = open_run_directory(folder / name, use);
    options.resume = use == RunUse::kResume;
    options.max_steps_per_launch = 1;
    TrainCallbacks callbacks;
    callbacks.progress = [=](const TrainProgress& now) { return now.step < stop_after; };
    return train(*backend, config, *data.data, nullptr, options, callbacks);
  };
  const TrainResult whole = run("whole", RunUse::kNew, 1000);
  run("stopped", RunUse::kNew, 11);
  const TrainResult resumed = run("stopped", RunUse::kResume, 1000);
  EXPECT_EQ(bits_of(resumed.model), bits_of(whole.model));
  EXPECT_EQ(resumed.metrics.back().validation_loss, whole.metrics.back().validation_loss);
}

}  // namespace
}  // namespace diabolo
