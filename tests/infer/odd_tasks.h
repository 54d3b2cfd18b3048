// Tasks that no model has: results of several types, draws, two inputs, none.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "infer/inference.h"
#include "model/task.h"
#include "ops/noise.h"
#include "ops/row_score.h"

namespace diabolo {

constexpr int64_t kPicked = 2;

inline ValueId noisy(ModelGraph& graph, ValueId x) {
  CorruptAttrs attrs;
  attrs.amount = 1;
  return graph.graph().add(kCorrupt, attrs, {x, graph.step_state()}, "noise").front();
}

// Codes of u32, then floats: the features that noise moved most, and the row with the noise.
inline const Task& picking_task() {
  static constexpr TaskInput kIn[] = {{}};
  static constexpr TaskOutput kOut[] = {
      {.name = "picked", .what = "codes", .csv_name = "pick_1", .is_code = true},
      {.name = "noisy", .what = "noisy rows"}};
  static const Task kTask = {.number = 101,
                             .name = "pick",
                             .what = "",
                             .inputs = kIn,
                             .outputs = kOut,
                             .build = [](ModelGraph& graph, std::span<const ValueId> in, int64_t) {
                               const ValueId moved = noisy(graph, in[0]);
                               const auto found = graph.graph().add(
                                   kRowScore, RowScoreAttrs{kPicked}, {moved, in[0]}, "pick");
                               graph.mark_output(found[1], "picked");
                               graph.mark_output(moved, "noisy");
                             }};
  return kTask;
}

// How far two rows lie from each other.
inline const Task& distance_task() {
  static constexpr TaskInput kIn[] = {{.name = "from"}, {.name = "to"}};
  static constexpr TaskOutput kOut[] = {
      {.name = "distance", .what = "distances", .csv_name = "distance"}};
  static const Task kTask = {
      .number = 102,
      .name = "distance",
      .what = "",
      .inputs = kIn,
      .outputs = kOut,
      .build = [](ModelGraph& graph, std::span<const ValueId> in, int64_t) {
        graph.mark_output(
            graph.graph().add(kRowScore, RowScoreAttrs{0}, {in[0], in[1]}, "distance").front(),
            "distance");
      }};
  return kTask;
}

// Rows out of nothing, one at a time.
inline const Task& drawing_task() {
  static constexpr TaskOutput kOut[] = {{.name = "drawn", .what = "drawn rows"}};
  static const Task kTask = {.number = 103,
                             .name = "draw",
                             .what = "",
                             .outputs = kOut,
                             .build = [](ModelGraph& graph, std::span<const ValueId>, int64_t) {
                               Graph& g = graph.graph();
                               const ValueId scale =
                                   g.add_state(model_names::kScale, TensorDesc(DType::kF32, {12}));
                               graph.mark_output(noisy(graph, g.reshape(scale, {1, 12})), "drawn");
                             }};
  return kTask;
}

// What picking_task gives for rows of 12 numbers.
struct Picked {
  std::vector<uint32_t> codes;
  std::vector<float> rows;

  explicit Picked(uint64_t count) : codes(count * kPicked), rows(count * 12) {}
  std::array<TaskResults, 2> results() { return {std::span(codes), std::span(rows)}; }
  bool operator==(const Picked&) const = default;
};

}  // namespace diabolo
