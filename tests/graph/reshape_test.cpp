// Values under another shape, and nodes that write into temporaries and into what exists.
#include <gtest/gtest.h>

#include "base/error.h"
#include "graph/autodiff.h"
#include "graph/fuse.h"
#include "graph/plan.h"
#include "ops/activation_grad.h"
#include "ops/add.h"
#include "ops/dense.h"
#include "ops/loss.h"

namespace diabolo {
namespace {

Plan compiled(const Graph& graph) {
  return Plan::compile(graph, *device_from_name("cpu"), {});
}

const TensorDesc kRows(DType::kF32, {4, 6});

TEST(Reshape, IsNeitherNodeNorByte) {
  Graph graph;
  const ValueId x = graph.add_input("x", kRows);
  const ValueId a = graph.add(kAdd, AddAttrs{}, {x, x}, "a")[0];
  const ValueId images = graph.reshape(a, {4, 3, 2});
  EXPECT_EQ(graph.value(images).desc.text(), "f32[4,3,2]");
  EXPECT_EQ(graph.reshape(a, {4, 6}), a);
  EXPECT_EQ(graph.root(graph.reshape(images, {4, 1, 6})), a);
  const ValueId b = graph.add(kAdd, AddAttrs{}, {images, images}, "b")[0];
  graph.mark_output(b, "b");
  const Plan plan = compiled(graph);
  EXPECT_EQ(plan.steps().size(), 2u);
  EXPECT_EQ(plan.offset(images), plan.offset(a));
  EXPECT_THROW(graph.reshape(a, {4, 5}), Error);
}

// Were the alias not seen, b would be written over a, which dies there.
TEST(Reshape, WhatReadsTheAliasKeepsTheValueAlive) {
  for (const bool is_output : {false, true}) {
    Graph graph;
    const ValueId x = graph.add_input("x", kRows);
    const ValueId a = graph.add(kAdd, AddAttrs{}, {x, x}, "a")[0];
    const ValueId images = graph.reshape(a, {4, 3, 2});
    const ValueId b = graph.add(kAdd, AddAttrs{}, {a, x}, "b")[0];
    graph.mark_output(b, "b");
    if (is_output)
      graph.mark_output(images, "images");
    else
      graph.mark_output(graph.add(kAdd, AddAttrs{}, {images, images}, "c")[0], "c");
    const Plan plan = compiled(graph);
    EXPECT_NE(plan.offset(a), plan.offset(b)) << is_output;
    EXPECT_EQ(plan.offset(a), plan.offset(images)) << is_output;
  }
}

TEST(Reshape, FusionSeesAReaderOfTheAlias) {
  Graph graph;
  const ValueId x = graph.add_input("x", kRows);
  const ValueId weight = graph.add_parameter("w", TensorDesc(DType::kF32, {6, 6}));
  const ValueId dx = graph.add(kDenseDataGrad, DenseDataGradAttrs{}, {x, weight}, "dx")[0];
  const ValueId dz = graph.add(kActivationGrad, ActivationGradAttrs{}, {dx, x}, "dz")[0];
  graph.mark_output(dz, "dz");
  EXPECT_EQ(fuse(graph).nodes().size(), 1u);
  const ValueId images = graph.reshape(dx, {4, 3, 2});
  graph.mark_output(graph.add(kAdd, AddAttrs{}, {images, images}, "sum")[0], "sum");
  EXPECT_EQ(fuse(graph).nodes().size(), 3u);
}

// Behind a layer that reads another shape of what the one below made; as long as rows stay rows.
TEST(Reshape, FusionTakesADerivativeInAnotherShape) {
  for (const std::vector<int64_t>& extents : {std::vector<int64_t>{4, 3, 2}, {8, 3}}) {
    Graph graph;
    const ValueId dz = graph.add_input("dz", kRows);
    const ValueId saved = graph.add_input("saved", TensorDesc(DType::kF32, extents));
    const ValueId weight = graph.add_parameter("w", TensorDesc(DType::kF32, {6, 6}));
    const ValueId dx = graph.add(kDenseDataGrad, DenseDataGradAttrs{}, {dz, weight}, "dx")[0];
    const ValueId below = graph.add(kActivationGrad, ActivationGradAttrs{},
                                    {graph.reshape(dx, extents), saved}, "below")[0];
    graph.mark_output(below, "dz below");
    const Graph fused = fuse(graph);
    const bool has_rows = extents[0] == 4;
    ASSERT_EQ(fused.nodes().size(), has_rows ? 1u : 2u);
    EXPECT_EQ(fused.nodes().back().out[0], below);
    EXPECT_EQ(compiled(graph).steps().size(), fused.nodes().size());
    if (!has_rows) continue;
    const Node& node = fused.node(0);
    std::vector<TensorDesc> in;
    for (const ValueId id : node.in) in.push_back(fused.value(id).desc);
    EXPECT_EQ(node.op->infer(node.attrs, in)[0], fused.value(below).desc);
  }
}

TEST(Reshape, FusionSeesThatTheAliasIsAnOutput) {
  Graph graph;
  const ValueId x = graph.add_input("x", kRows);
  const ValueId weight = graph.add_parameter("w", TensorDesc(DType::kF32, {6, 6}));
  const ValueId dx = graph.add(kDenseDataGrad, DenseDataGradAttrs{}, {x, weight}, "dx")[0];
  graph.add(kActivationGrad, ActivationGradAttrs{}, {dx, x}, "dz");
  const ValueId images = graph.reshape(dx, {4, 3, 2});
  graph.mark_output(images, "images");
  EXPECT_EQ(fuse(graph).nodes().size(), 2u);
  EXPECT_NE(compiled(graph).offset(images), Plan::kNotInArena);
}

TEST(Reshape, OfALossHasTheLosssGradients) {
  Graph graph;
  const ValueId x = graph.add_input("x", kRows);
  const ValueId weight = graph.add_parameter("w", TensorDesc(DType::kF32, {6, 6}));
  const DenseForwardAttrs attrs{.has_bias = false};
  const ValueId y = graph.add(kDenseForward, attrs, {x, weight}, "y")[0];
  const ValueId loss = graph.reshape(graph.add(kLoss, LossAttrs{}, {y, x}, "loss")[0], {1, 1});
  differentiate(graph, std::span(&loss, 1));
  EXPECT_NE(graph.find("w", Role::kGradient), kNoValue);
}

// A weight that is read in two shapes has one gradient, of its own shape.
TEST(Reshape, OfAParameterHasThatParametersGradient) {
  Graph graph;
  const ValueId x = graph.add_input("x", kRows);
  const ValueId weight = graph.add_parameter("w", TensorDesc(DType::kF32, {36}));
  const ValueId square = graph.reshape(weight, {6, 6});
  const DenseForwardAttrs attrs{.has_bias = false};
  const ValueId h = graph.add(kDenseForward, attrs, {x, square}, "first")[0];
  const ValueId y = graph.add(kDenseForward, attrs, {h, square}, "second")[0];
  const std::vector<ValueId> loss = graph.add(kLoss, LossAttrs{}, {y, x}, "loss");
  differentiate(graph, std::span(loss).first(1));
  const ValueId gradient = graph.find("w", Role::kGradient);
  ASSERT_NE(gradient, kNoValue);
  EXPECT_EQ(graph.value(gradient).desc.text(), "f32[36]");
  int writes = 0;
  for (const Node& node : graph.nodes())
    if (node.op == &kDenseWeightGrad && graph.root(node.out[0]) == gradient)
      writes += node.attrs.as<DenseWeightGradAttrs>().accumulates_weight ? 10 : 1;
  EXPECT_EQ(writes, 11);
}

TEST(Graph, ANodeWritesIntoAGradientAndANewTemporary) {
  Graph graph;
  const ValueId x = graph.add_input("x", kRows), dz = graph.add_input("dz", kRows);
  const ValueId d_weight = graph.add_gradient("w", TensorDesc(DType::kF32, {6, 6}));
  const std::vector<ValueId> in = {x, dz}, into = {d_weight, kNoValue};
  const auto out = graph.add_into(kDenseWeightGrad, DenseWeightGradAttrs{}, in, into, "grad");
  ASSERT_EQ(out.size(), 2u);
  EXPECT_EQ(out[0], d_weight);
  EXPECT_EQ(graph.value(out[1]).role, Role::kTemporary);
  EXPECT_EQ(graph.value(out[1]).desc.text(), "f32[6]");
  graph.mark_output(out[1], "d_bias");
  const Plan plan = compiled(graph);
  EXPECT_EQ(plan.offset(d_weight), Plan::kNotInArena);
  EXPECT_NE(plan.offset(out[1]), Plan::kNotInArena);
}

}  // namespace
}  // namespace diabolo
