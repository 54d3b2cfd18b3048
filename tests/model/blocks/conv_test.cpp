// Convolutions as layers: lines, shapes, refusals, mirrors; models of them train, go on after a
// stop with the same bits, and give a row the same bits in every batch.
#include <gmock/gmock.h>

#include "graph/autodiff.h"
#include "graph/fuse.h"
#include "infer/inference.h"
#include "model/model_graph.h"
#include "model/training_graph.h"
#include "ops/conv2d.h"
#include "train/training_fixture.h"

namespace diabolo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Config config_of(std::vector<std::string> encoder) {
  Config config = resolved(Config{}, Scale::kUnit);
  config.model.encoder = {.layers = std::move(encoder), .hidden = {}};
  config.model.code.size = 4;
  return config;
}

std::string refusal_of(const std::string& line, const Extents& row) {
  try {
    Network::of(config_of({line}).model, row);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    return error.what();
  }
  return "";
}

std::vector<std::string> decoder_of(const Config& config, const Extents& row) {
  std::vector<std::string> lines;
  for (const Layer& layer : Network::of(config.model, row).decoder)
    lines.push_back(cat(layer.line.text(), " -> ", shape_text(layer.out)));
  return lines;
}

TEST(ConvBlock, ALineSaysWhatIsNotUsual) {
  const auto text = [](const char* line) { return LayerLine::parse(line, "").text(); };
  EXPECT_EQ(text("conv 32 kernel 3 stride 1 dilation 1 groups 1"), "conv 32");
  EXPECT_EQ(text("conv 32 kernel 5x3 stride 2 valid relu"),
            "conv 32 kernel 5x3 stride 2 valid relu");
  EXPECT_EQ(text("conv 8 padding 0x1x2x3"), "conv 8 padding 0x1x2x3");
  EXPECT_EQ(text("conv_transpose 8 stride 2 output_padding 1x0"),
            "conv_transpose 8 stride 2 output_padding 1x0");
}

TEST(ConvBlock, ShapesAndParameters) {
  const auto layer = [](const char* line, const Extents& row) {
    const Layer first = Network::of(config_of({line}).model, row).encoder[0];
    return cat(shape_text(first.out), " ", first.parameters[0].desc.text(), " ",
               first.parameters[1].desc.text());
  };
  EXPECT_EQ(layer("conv 32 stride 2", {28, 28}), "14x14x32 f32[3,3,1,32] f32[32]");
  EXPECT_EQ(layer("conv 5 kernel 5 valid", {12, 9, 3}), "8x5x5 f32[5,5,3,5] f32[5]");
  EXPECT_EQ(layer("conv 6 kernel 2x4 padding 0x1x2x1", {4, 6, 2}), "4x6x6 f32[2,4,2,6] f32[6]");
  EXPECT_EQ(layer("conv 6 groups 3", {5, 5, 3}), "5x5x6 f32[3,3,1,6] f32[6]");
  EXPECT_EQ(layer("conv_transpose 6 stride 2 output_padding 1", {7, 4, 8}),
            "14x8x6 f32[3,3,6,8] f32[6]");
}

TEST(ConvBlock, RefusalsSayWhatWasExpected) {
  EXPECT_THAT(
      refusal_of("conv 3", {784}),
      HasSubstr("encoder.0: \"conv 3\": expected images, rows of height x width x channels, "
                "found rows of 784"));
  EXPECT_THAT(refusal_of("conv 3 kernel 5 valid", {4, 9, 1}),
              HasSubstr("expected images of at least 5 rows"));
  EXPECT_THAT(refusal_of("conv 3 kernel 5 valid", {9, 4, 1}), HasSubstr("at least 5 columns"));
  EXPECT_THAT(refusal_of("conv 4 groups 3", {9, 9, 3}), HasSubstr("divides its 4 channels"));
  EXPECT_THAT(refusal_of("conv 3 padding 1x1x1", {9, 9, 1}), HasSubstr("1, 2 or 4 numbers"));
  EXPECT_THAT(refusal_of("conv 3 padding 1 same", {9, 9, 1}), HasSubstr("a padding or same, "));
  EXPECT_THAT(refusal_of("conv 3 padding 1 valid", {9, 9, 1}), HasSubstr("a padding or valid, "));
  EXPECT_THAT(refusal_of("conv 3 samee", {9, 9, 1}), HasSubstr("did you mean \"same\"?"));
  EXPECT_THAT(refusal_of("conv_transpose 3 output_padding 1", {9, 9, 1}),
              HasSubstr("expected less than the stride, 1, found 1"));
  EXPECT_THAT(refusal_of("conv_transpose 3 kernel 1 padding 1", {2, 2, 1}),
              HasSubstr("leaves nothing"));
  EXPECT_THAT(refusal_of("conv 1048576 kernel 1024", {1, 1, 1048576}),
              HasSubstr("more than this version can hold"));
}

TEST(ConvBlock, AnImageComesBackInItsOwnSize) {
  const std::vector<std::string> encoder = {"conv 4 stride 2 relu", "conv 5 kernel 4x3 stride 3x2",
                                            "conv 2 dilation 2 valid"};
  for (const Extents& row : std::initializer_list<Extents>{
           {28, 28, 1}, {29, 29, 1}, {131, 131, 2}, {218, 178, 3}, {458, 690, 1}}) {
    const Network network = Network::of(config_of(encoder).model, row);
    EXPECT_EQ(network.decoder.back().out, row);
    for (size_t k = 0; k < 3; ++k)
      EXPECT_EQ(network.decoder[k].out, network.encoder[3 - k].in) << shape_text(row);
  }
  EXPECT_THAT(decoder_of(config_of({"conv 8 stride 2 relu", "conv 16 stride 2"}), {28, 7}),
              ElementsAre("dense 7x2x16 -> 7x2x16",
                          "conv_transpose 8 stride 2 output_padding 1 relu -> 14x4x8",
                          "conv_transpose 1 stride 2 output_padding 1x0 -> 28x7x1"));
  EXPECT_THAT(decoder_of(config_of({"conv_transpose 3 stride 2 output_padding 1"}), {5, 4, 2}),
              ElementsAre("dense 10x8x3 -> 10x8x3", "conv 2 stride 2 -> 5x4x2"));
}

TEST(ConvBlock, SharesItsWeightsWithItsMirror) {
  Config config = config_of({"conv 8 stride 2 relu", "conv 16 groups 2"});
  config.model.decoder.tied = true;
  const Network network = Network::of(config.model, Extents{9, 10, 2});
  ASSERT_EQ(network.decoder.size(), 3u);
  EXPECT_EQ(network.decoder[1].parameters[0].name, "encoder.1.weight");
  EXPECT_EQ(network.decoder[2].parameters[0].name, "encoder.0.weight");
  EXPECT_EQ(network.decoder[2].parameters[1].name, "decoder.2.bias");
}

TEST(ConvBlock, SharesWithALineThatSaysTheSameInOtherWords) {
  Config config = config_of({"conv 8 stride 2 relu"});
  config.model.decoder.tied = true;
  config.model.decoder.mirror = false;
  const auto weight_of_decoder = [&](const char* line) {
    config.model.decoder.layers = {"dense 5x5x8 relu", line};
    return Network::of(config.model, Extents{9, 9, 2}).decoder.back().parameters[0].name;
  };
  EXPECT_EQ(weight_of_decoder("conv_transpose 2 stride 2x2 padding 1x1x1x1"), "encoder.0.weight");
  EXPECT_THROW(weight_of_decoder("conv_transpose 2 stride 2 padding 1x1x2x0"), Error);
}

TEST(ConvBlock, TheDerivativeRidesInTheDataGradient) {
  const Config config = config_of({"conv 3 stride 2 relu", "conv 5 silu"});
  const Network network = Network::of(config.model, Extents{6, 5, 1});
  const ModelGraphOptions options{.rows = 4, .purpose = Purpose::kTraining};
  ModelGraph model(config.model, network, options);
  const ValueId x = model.input_rows();
  const ValueId loss = model.reconstruction_loss(model.encoded(x), x);
  differentiate(model.graph(), std::array{loss});
  int fused = 0, alone = 0;
  const Graph rewritten = fuse(model.graph());
  for (const Node& node : rewritten.nodes()) {
    alone += node.op->name == std::string("activation_grad");
    if (node.op == &kConv2dDataGrad) fused += node.attrs.as<Conv2dDataGradAttrs>().has_epilogue;
  }
  EXPECT_EQ(fused, 3);
  EXPECT_EQ(alone, 0);
}

// Grey images of 28x28: a bright square each, somewhere.
std::vector<float> squares(int64_t count) {
  constexpr int64_t kSize = 28;
  std::vector<float> pixels(static_cast<size_t>(count * kSize * kSize));
  for (int64_t b = 0; b < count; ++b) {
    const int64_t top = 3 + b * 7 % 13, left = 2 + b * 11 % 15, side = 6 + b % 5;
    for (int64_t y = top; y < top + side; ++y)
      for (int64_t x = left; x < left + side; ++x)
        pixels[static_cast<size_t>((b * kSize + y) * kSize + x)] = 1;
  }
  return pixels;
}

class ConvTraining : public testing::Test {
 protected:
  static constexpr int64_t kRows = 192;

  static Config config() {
    Config config = config_of({"conv 8 stride 2 relu", "conv 12 stride 2 relu"});
    config.model.code.size = 12;
    config.model.decoder.output.reset();
    config.data.scale = Scale::kNone;
    config.train.batch_size = 40;  // the last of an epoch is short
    config.train.epochs = 3;
    config.train.seed = 3;
    config.optimizer.learning_rate = 3e-3;
    return config;
  }
  TrainResult run(const Config& config, const std::string& name, RunUse use, uint64_t stop = 0) {
    TrainOptions options;
    options.directory = open_run_directory(folder_ / name, use);
    options.resume = use == RunUse::kResume;
    options.max_steps_per_launch = 2;
    TrainCallbacks callbacks;
    if (stop > 0) callbacks.progress = [stop](const TrainProgress& now) { return now.step < stop; };
    return train(*backend_, config, *data_, nullptr, options, callbacks);
  }

  TemporaryFolder folder_;
  std::unique_ptr<Backend> backend_ = create_host_backend(2);
  std::vector<float> pixels_ = squares(kRows);
  std::unique_ptr<Dataset> data_ = memory_dataset("squares", TensorDesc(DType::kF32, {28, 28}),
                                                  std::as_bytes(std::span(pixels_)));
};

TEST_F(ConvTraining, LearnsAndGivesRowsTheSameBitsInEveryBatch) {
  Config longer = config();
  longer.train.epochs = 16;
  TrainResult result = run(longer, "model", RunUse::kNew);
  ASSERT_FALSE(result.metrics.empty());
  const double first = result.metrics.front().loss, last = result.metrics.back().loss;
  EXPECT_LT(last, 0.85 * first) << "from " << first;
  save_model(result.model, folder_ / "file");
  const ModelFile model = load_model(folder_ / "file");
  Inference inference(*backend_, model, {});
  const auto rows_of = [&](size_t from, size_t count) {
    std::vector<float> out(count * 784);
    const auto rows = std::span(pixels_).subspan(from * 784, count * 784);
    inference.reconstruct({DType::kF32, false, std::as_bytes(rows), count}, out);
    return out;
  };
  const std::vector<float> all = rows_of(0, kRows);
  for (const size_t from : {size_t{0}, size_t{100}, size_t{191}}) {
    const std::vector<float> one = rows_of(from, 1);
    EXPECT_TRUE(std::equal(one.begin(), one.end(), all.begin() + static_cast<long>(from * 784)));
  }
}

TEST_F(ConvTraining, StoppingChangesNothing) {
  const TrainResult whole = run(config(), "whole", RunUse::kNew);
  for (const uint64_t stop : {uint64_t{3}, uint64_t{11}}) {
    const std::string name = cat("stopped", stop);
    EXPECT_TRUE(run(config(), name, RunUse::kNew, stop).is_cancelled);
    EXPECT_EQ(bits_of(run(config(), name, RunUse::kResume).model), bits_of(whole.model)) << stop;
  }
}

TEST_F(ConvTraining, TiedAndDeeperModelsTrain) {
  Config tied = config();
  tied.model.decoder.tied = true;
  tied.model.encoder.layers = {"conv 6 stride 2 gelu", "conv 6 groups 6 tanh", "conv 9 dilation 2"};
  const TrainResult result = run(tied, "tied", RunUse::kNew);
  EXPECT_LT(result.metrics.back().loss, result.metrics.front().loss);
}

}  // namespace
}  // namespace diabolo
