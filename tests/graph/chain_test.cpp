// Which layers a plan for a CUDA device joins to one launch.
#include "graph/chain.h"

#include <gtest/gtest.h>

#include <array>

#include "backend/backend.h"
#include "graph/plan.h"
#include "ops/add.h"
#include "ops/dense.h"
#include "ops/dense_chain.h"
#include "ops/row_score.h"

namespace diabolo {
namespace {

// Rows through dense layers of these widths, the first being the rows'.
struct Layers {
  explicit Layers(int64_t batch, DType type = DType::kF32) : rows(batch), dtype(type) {}

  ValueId add(ValueId x, int64_t inputs, int64_t outputs, DenseForwardAttrs attrs = {}) {
    const std::string name = cat("layer.", count++);
    const ValueId weight = graph.add_parameter(
        name + ".weight", attrs.weight_transposed ? TensorDesc(dtype, {outputs, inputs})
                                                  : TensorDesc(dtype, {inputs, outputs}));
    const ValueId bias = graph.add_parameter(name + ".bias", TensorDesc(DType::kF32, {outputs}));
    return graph.add(kDenseForward, attrs, {x, weight, bias}, name).front();
  }
  ValueId through(std::initializer_list<int64_t> widths) {
    ValueId x = input(*widths.begin());
    for (auto width = widths.begin(); width + 1 != widths.end(); ++width)
      x = add(x, width[0], width[1]);
    return x;
  }
  ValueId input(int64_t width) { return graph.add_input("x", TensorDesc(dtype, {rows, width})); }

  Graph graph;
  int64_t rows;
  DType dtype;
  int count = 0;
};

DeviceInfo device(const char* name = "sm_90") {
  return *device_from_name(name);
}

std::vector<std::string> ops_of(const Plan& plan) {
  std::vector<std::string> names;
  for (const Node& node : plan.graph().nodes()) names.emplace_back(node.op->name);
  return names;
}

using Names = std::vector<std::string>;

Names planned(const Layers& layers, const DeviceInfo& on = device(), const Policy& policy = {}) {
  return ops_of(Plan::compile(layers.graph, on, policy));
}

TEST(Chain, NarrowLayersAreOneLaunch) {
  for (const DType dtype : {DType::kF32, DType::kBf16}) {
    for (const int64_t rows : {1, 100}) {
      Layers layers(rows, dtype);
      layers.graph.mark_output(layers.through({30, 64, 16, 8}), "y");
      EXPECT_EQ(planned(layers), Names{"dense_chain"}) << rows;
      EXPECT_EQ(planned(layers, device(), {.fuse = false}).size(), 3u);
    }
  }
}

TEST(Chain, AScoreEndsIt) {
  Layers layers(64);
  const ValueId x = layers.input(12);
  const ValueId y = layers.add(layers.add(x, 12, 5), 5, 12);
  const ValueId score = layers.graph.add(kRowScore, RowScoreAttrs{}, {y, x}, "score").front();
  layers.graph.mark_output(score, "score");
  const Plan plan = Plan::compile(layers.graph, device(), {});
  ASSERT_EQ(ops_of(plan), Names{"dense_chain"});
  EXPECT_TRUE(plan.graph().node(0).attrs.as<DenseChainAttrs>().scores);
}

TEST(Chain, TheHostRunsLayerByLayer) {
  Layers layers(64);
  layers.graph.mark_output(layers.through({30, 64, 16}), "y");
  EXPECT_EQ(planned(layers, create_host_backend(1)->info()).size(), 2u);
}

TEST(Chain, WhatIsReadInBetweenIsMade) {
  Layers layers(64);
  const ValueId hidden = layers.through({30, 16, 8});
  layers.graph.mark_output(layers.add(layers.add(hidden, 8, 16), 16, 30), "y");
  layers.graph.mark_output(hidden, "code");
  EXPECT_EQ(planned(layers), (Names{"dense_chain", "dense_chain"}));
}

TEST(Chain, WideAndTransposedLayersStandAlone) {
  Layers layers(64, DType::kBf16);
  ValueId x = layers.through({784, 64, 32, 16});
  x = layers.add(x, 16, 32, {.weight_transposed = true});
  layers.graph.mark_output(x, "y");
  EXPECT_EQ(planned(layers), (Names{"dense_forward", "dense_chain", "dense_forward"}));
}

// Wide layers of many rows are bound by what blocks read of the weights: tall tiles read less.
TEST(Chain, ManyRowsOfWideLayersAreNotWorthIt) {
  Layers layers(1 << 20, DType::kBf16);
  layers.graph.mark_output(layers.through({256, 256, 256}), "y");
  EXPECT_EQ(planned(layers).size(), 2u);
}

// 65536 rows of 64: four blocks of a chain share a multiprocessor.
TEST(Chain, ManyRowsOfNarrowLayersAre) {
  Layers layers(1 << 16, DType::kBf16);
  layers.graph.mark_output(layers.through({64, 64, 64, 64, 64}), "y");
  EXPECT_EQ(planned(layers), Names{"dense_chain"});
}

TEST(Chain, WhatHasAnotherShapeToItsReaderIsMade) {
  Layers layers(64);
  const ValueId hidden = layers.through({30, 16});
  const ValueId halves = layers.graph.reshape(hidden, {128, 8});
  layers.graph.mark_output(layers.add(layers.add(halves, 8, 16), 16, 30), "y");
  EXPECT_EQ(planned(layers), (Names{"dense_forward", "dense_chain"}));
}

// A chain runs where its last layer stood, behind the node that writes what the first one reads.
TEST(Chain, WhatChangesInBetweenIsReadBefore) {
  Layers layers(16);
  Graph& graph = layers.graph;
  const ValueId x = graph.add_state("@rows", TensorDesc(DType::kF32, {16, 12}));
  const ValueId hidden = layers.add(x, 12, 5);
  const ValueId next = graph.add_input("next", TensorDesc(DType::kF32, {16, 12}));
  graph.add_into(kAdd, AddAttrs{}, std::array{next, next}, std::array{x}, "next rows");
  graph.mark_output(layers.add(hidden, 5, 12), "y");
  EXPECT_EQ(planned(layers), (Names{"dense_forward", "add", "dense_forward"}));
}

TEST(Chain, MoreLayersThanOneTakesAreSeveral) {
  Layers layers(8);
  layers.graph.mark_output(layers.through({8, 9, 10, 11, 12, 13, 14, 15, 16, 17}), "y");
  EXPECT_EQ(planned(layers), (Names{"dense_chain", "dense_chain"}));
}

}  // namespace
}  // namespace diabolo
