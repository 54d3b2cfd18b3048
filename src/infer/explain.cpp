#include "infer/explain.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace diabolo {

namespace {

constexpr uint64_t kBlockBytes = uint64_t{4} << 20;  // of scaled rows, and of their reconstructions

// Rows [first, first + count) of a call, with memory that blocks share.
struct Block {
  uint64_t first = 0, count = 0;
  std::vector<float> scaled, rebuilt;
  std::vector<RowState> states;
};

RowRules rules_of_block(const RowRules& rules, Block& block) {
  RowRules out = rules;
  out.place = rules.place.at(block.first);
  out.progress = {};
  if (!rules.states.empty()) {
    block.states.resize(block.count);
    out.states = block.states;
  }
  return out;
}

// Rows as the model takes them, and what it makes of them.
void reconstruct_block(const Inference& inference, const RawRows& in, const RowRules& rules,
                       Block& block) {
  const auto width = static_cast<uint64_t>(inference.features());
  const uint64_t row_bytes = width * size_bytes(in.dtype);
  const auto raw = in.bytes.subspan(block.first * row_bytes, block.count * row_bytes);
  block.scaled.resize(block.count * width);
  block.rebuilt.resize(block.count * width);
  const RowRules of_block = rules_of_block(rules, block);
  RowWatch watch(of_block, block.count);
  watch.convert(inference.scaling_of(in.dtype), in.dtype, raw, 0, block.scaled);
  watch.finish();
  const RawRows converted{.dtype = DType::kF32,
                          .is_scaled = true,
                          .bytes = std::as_bytes(std::span(block.scaled)),
                          .rows = block.count};
  inference.reconstruct_scaled(converted, block.rebuilt, of_block);
}

// A row whose reconstruction is not finite is left out as a whole.
void merge_states(const Block& block, const RowRules& rules, const Scores& out) {
  const auto worst = static_cast<uint64_t>(out.worst);
  for (uint64_t i = 0; i < block.states.size(); ++i) {
    RowState& state = rules.states[block.first + i];
    if (block.states[i] == RowState::kGood || state != RowState::kGood) continue;
    state = block.states[i];
    constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
    out.score[block.first + i] = kNone;
    std::ranges::fill(out.error.subspan((block.first + i) * worst, worst), kNone);
  }
}

// In double where it is known so.
struct Unit {
  double shift = 0, scale = 1;
};
Unit unit_of(const Scaling& scaling, uint64_t feature) {
  const Scaling::Wide& wide = scaling.wide;
  if (wide.shift.empty()) return {scaling.shift[feature], scaling.scale[feature]};
  return {wide.shift[feature] + wide.rest[feature], wide.scale[feature]};
}

void put_differences(const Block& block, const Scaling& scaling, const RowRules& rules,
                     const Scores& scores, const Differences& out) {
  const auto worst = static_cast<uint64_t>(scores.worst);
  const uint64_t width = scaling.shift.size();
  for (uint64_t i = 0; i < block.count * worst; ++i) {
    const uint64_t row = i / worst, at = block.first * worst + i;
    const uint64_t feature = scores.index[at];
    const auto [shift, scale] = unit_of(scaling, feature);
    const double value = block.scaled[row * width + feature];
    double rebuilt = block.rebuilt[row * width + feature];
    if (!rules.states.empty() && rules.states[block.first + row] != RowState::kGood)
      rebuilt = std::numeric_limits<double>::quiet_NaN();
    if (!out.difference.empty()) out.difference[at] = (value - rebuilt) / scale;
    if (!out.expected.empty()) out.expected[at] = rebuilt / scale + shift;
  }
}

}  // namespace

void explain(const Inference& inference, const RawRows& in, const Scores& out,
             const Differences& differences, const RowRules& rules) {
  inference.score(in, out, rules);
  if (differences.difference.empty() && differences.expected.empty()) return;
  const auto row_bytes = static_cast<uint64_t>(inference.features()) * sizeof(float);
  const uint64_t most = std::max<uint64_t>(1, kBlockBytes / row_bytes);
  CallWatch watch(rules.progress);
  Block block;
  for (; block.first < in.rows && !watch.is_stopped(); block.first += block.count) {
    block.count = std::min(most, in.rows - block.first);
    reconstruct_block(inference, in, rules, block);
    merge_states(block, rules, out);
    put_differences(block, inference.scaling_of(in.dtype), rules, out, differences);
    watch.add_rows(block.count);
  }
  watch.finish();
}

}  // namespace diabolo
