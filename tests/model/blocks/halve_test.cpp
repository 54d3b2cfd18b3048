// Blocks to come, such as pooling: words of their own, and a mirror that is another block. They are
// known to this file alone.
#include <gmock/gmock.h>

#include "model/config.h"
#include "model/model.h"

namespace diabolo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// spread 7x7x2: rows of this shape, without weights.
constexpr BlockOption kTo[] = {{.name = "to", .meaning = "shape of its rows", .most = 4}};
constexpr BlockDef kSpread = {.name = "spread",
                              .what = "every number several times",
                              .options = kTo,
                              .has_weights = false,
                              .shape = [](Layer& layer) { layer.out = layer.line.options[0]; },
                              .build = [](const LayerBuild& build) { return build.x; }};

// halve, halve up: half as many rows and columns of an image, rounded.
constexpr const char* kRoundings[] = {"down", "up"};
constexpr BlockOption kRounding[] = {
    {.name = "rounding", .meaning = "of odd extents", .standard = 0, .words = kRoundings}};
void halve(Layer& layer) {
  layer.out = layer.in;
  for (size_t axis = 0; axis < 2; ++axis)
    layer.out[axis] = (layer.in[axis] + layer.line.options[0][0]) / 2;
}
LayerLine spread(const Layer& layer) {
  return {.block = &kSpread, .options = {layer.in}};
}
constexpr BlockDef kHalve = {.name = "halve",
                             .what = "one of four numbers",
                             .options = kRounding,
                             .has_weights = false,
                             .shape = halve,
                             .build = [](const LayerBuild& build) { return build.x; },
                             .mirror = spread};

class HalveTest : public testing::Test {
 protected:
  HalveTest() {
    changeable_block_defs().insert(changeable_block_defs().end(), {&kHalve, &kSpread});
  }
  ~HalveTest() override { changeable_block_defs().resize(changeable_block_defs().size() - 2); }
};

std::string message_of(const char* line) {
  try {
    LayerLine::parse(line, "here");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_F(HalveTest, WordsAreTheBlocksOwn) {
  EXPECT_EQ(LayerLine::parse("halve", "").text(), "halve");
  EXPECT_EQ(LayerLine::parse("halve down", "").text(), "halve");
  EXPECT_EQ(LayerLine::parse("halve up", "").text(), "halve up");
  EXPECT_EQ(LayerLine::parse("halve up", "").options[0], std::vector<int64_t>{1});
  EXPECT_THAT(message_of("halve up down"), HasSubstr("rounding is said twice"));
  EXPECT_THAT(message_of("halve op"), HasSubstr("did you mean \"up\"?"));
  EXPECT_THAT(message_of("halve sideways"), HasSubstr("expected one of down, up"));
  EXPECT_THAT(message_of("halve rounding"), HasSubstr("means nothing here"));
  EXPECT_THAT(message_of("halve 2"), HasSubstr("means nothing here"));
  EXPECT_THAT(message_of("dense 5 up"), HasSubstr("means nothing here"));
}

// Odd extents come back.
TEST_F(HalveTest, AMirrorMayBeAnotherBlock) {
  Config config = resolved(Config{}, Scale::kUnit);
  config.model.code.size = 3;
  const auto lines = [&](std::vector<std::string> encoder) {
    config.model.encoder = {.layers = std::move(encoder), .hidden = {}};
    std::vector<std::string> found;
    for (const Layer& layer : Network::of(config.model, Extents{7, 5, 2}).decoder)
      found.push_back(layer.line.text());
    return found;
  };
  EXPECT_THAT(lines({"halve up", "dense 9 tanh"}),
              ElementsAre("dense 9 tanh", "dense 4x3x2 linear", "spread 7x5x2"));
  EXPECT_THAT(lines({"dense 7x7x1 tanh", "halve"}),
              ElementsAre("dense 3x3x1 tanh", "spread 7x7x1", "dense 7x5x2"));
}

// Tied weights follow: layers without weights have none to share.
TEST_F(HalveTest, IsTiedAsAnyMirrorIs) {
  Config config = resolved(Config{}, Scale::kUnit);
  config.model.encoder = {.layers = {"dense 4x4x1", "halve"}, .hidden = {}};
  config.model.decoder.tied = true;
  const Network network = Network::of(config.model, 20);
  EXPECT_TRUE(network.decoder[0].is_tied);
  EXPECT_TRUE(network.decoder[2].is_tied);
}

}  // namespace
}  // namespace diabolo
