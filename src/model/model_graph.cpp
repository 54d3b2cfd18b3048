#include "model/model_graph.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "model/code.h"
#include "ops/activate.h"
#include "ops/draw_normal.h"
#include "ops/gather.h"
#include "ops/loss.h"
#include "ops/noise.h"
#include "ops/row_score.h"
#include "ops/training.h"

namespace diabolo {

ModelGraph::ModelGraph(const ModelConfig& config, const Network& network,
                       const ModelGraphOptions& options)
    : config_(config), network_(network), options_(options) {
  DIABOLO_CHECK(options_.rows > 0, "a batch has rows");
}

DType ModelGraph::dtype() const {
  return options_.precision == Precision::kBf16 ? DType::kBf16 : DType::kF32;
}

ValueId ModelGraph::input_rows(const char* name) {
  const bool is_resident = options_.resident_rows > 0;
  const DType type = options_.source == Source::kRawU8 ? DType::kU8 : DType::kF32;
  const int64_t rows = is_resident ? options_.resident_rows : options_.rows;
  const ValueId source = graph_.add_input(name, TensorDesc(type, {rows, network_.features}));
  return batch(source, options_.source != Source::kScaled, is_resident);
}

ValueId ModelGraph::input_codes(const char* name) {
  const TensorDesc& row = network_.code_row.desc;
  const ValueId codes =
      input_numbers(name, row.dtype(), {row.extents().begin(), row.extents().end()});
  return is_float(row.dtype()) ? batch(codes, false, false) : codes;
}

ValueId ModelGraph::input_numbers(const char* name, DType dtype, std::vector<int64_t> row) {
  row.insert(row.begin(), options_.rows);
  return graph_.add_input(name, TensorDesc(dtype, row));
}

// The source itself where nothing is to be done.
ValueId ModelGraph::batch(ValueId source, bool scaled, bool indexed) {
  if (!scaled && !indexed && dtype() == DType::kF32) return source;
  std::vector<ValueId> in = {source};
  if (scaled) {
    const TensorDesc feature(DType::kF32, {network_.features});
    in.push_back(graph_.add_state(model_names::kShift, feature));
    in.push_back(graph_.add_state(model_names::kScale, feature));
  }
  if (indexed) {
    in.push_back(
        graph_.add_state(model_names::kOrder, TensorDesc(DType::kU32, {options_.resident_rows})));
    in.push_back(step_state());
  }
  const GatherAttrs attrs{options_.rows, indexed, dtype(), scaled};
  return graph_.add(kGather, attrs, in, "gather").front();
}

ValueId ModelGraph::step_state() {
  if (options_.purpose == Purpose::kUse) {
    const ValueId known = graph_.find(model_names::kDraws, Role::kInput);
    return known == kNoValue ? graph_.add_input(model_names::kDraws, step_state_desc()) : known;
  }
  return graph_.add_state(is_training() ? store_names::kStepState : model_names::kValidationState,
                          step_state_desc());
}

ValueId ModelGraph::corrupted(ValueId x) {
  const auto& c = config_.corruption;
  if (c.kind == CorruptionKind::kNone) return x;
  CorruptAttrs attrs;
  attrs.kind = c.kind == CorruptionKind::kGaussian ? kernels::Corruption::kGaussian
                                                   : kernels::Corruption::kMasking;
  attrs.amount = static_cast<float>(c.amount);
  if (c.clip == ClipKind::kUnit) {
    attrs.low = 0;
    attrs.high = 1;
  }
  return graph_.add(kCorrupt, attrs, {x, step_state()}, "corrupt").front();
}

ValueId ModelGraph::parameter(const ParameterSpec& spec) {
  return graph_.add_parameter(spec.name, spec.desc);
}

ValueId ModelGraph::weight(const ParameterSpec& spec) {
  return graph_.add_parameter(spec.name, TensorDesc(dtype(), spec.desc.extents()));
}

ValueId ModelGraph::state(const StateSpec& spec) {
  return graph_.add_state(spec.name, spec.desc);
}

ValueId ModelGraph::flat(ValueId x) {
  return graph_.reshape(x, {options_.rows, row_elems(graph_.value(x).desc)});
}

ValueId ModelGraph::activated(ValueId x, kernels::Activation activation, const std::string& name) {
  if (activation == kernels::Activation::kIdentity) return x;
  return graph_.add(kActivate, ActivateAttrs{activation}, {x}, name).front();
}

// What a decoder ends in has an activation whether it has weights or not.
ValueId ModelGraph::layer(const Layer& layer, ValueId x, kernels::Activation activation) {
  const BlockDef& block = *layer.line.block;
  ValueId y = block.build({*this, layer, x, activation});
  if (!block.has_weights) y = activated(y, activation, layer.name + " activation");
  if (is_training() && layer.dropout > 0) {
    const DropoutAttrs dropout{static_cast<float>(layer.dropout), dropouts_++};
    y = graph_.add(kDropout, dropout, {y, step_state()}, layer.name + " dropout").front();
  }
  return y;
}

ValueId ModelGraph::layers(std::span<const Layer> layers, ValueId x) {
  for (const Layer& one : layers) x = layer(one, x, one.activation);
  return x;
}

void ModelGraph::add_next_state(ValueId state, ValueId next, const std::string& name) {
  if (is_again_) return;
  DIABOLO_CHECK(std::ranges::find(next_states_, state, &NextState::state) == next_states_.end(),
                name, ": ", graph_.value(state).name, " moves on twice");
  next_states_.push_back({state, next, name});
}

ValueId ModelGraph::encoded(ValueId x) {
  DIABOLO_CHECK(dropouts_ == 0, "the encoder's draws are the first");
  hidden_.clear();
  heads_.clear();
  made_.clear();
  ValueId last_reads = code_ = x;
  for (const Layer& one : network_.encoder) {
    last_reads = code_;
    code_ = layer(one, last_reads, one.activation);
    hidden_.push_back(code_);
  }
  const CodeDef& kind = *network_.code;
  if (options_.purpose == Purpose::kUse) return kind.use ? kind.use(code_build()) : code_;
  for (const Layer& head : network_.heads)
    heads_.push_back(layer(head, last_reads, head.activation));
  const TrainedCode made = kind.train ? kind.train(code_build()) : used_in_training();
  made_ = made.made;
  code_in_use_ = made.code;
  return made.decoded;
}

ValueId ModelGraph::encoded_again(ValueId x) {
  const uint32_t dropouts = std::exchange(dropouts_, 0);
  is_again_ = true;
  const ValueId code = layers(network_.encoder, x);
  is_again_ = false;
  dropouts_ = dropouts;
  return code;
}

// As it is in use.
TrainedCode ModelGraph::used_in_training() {
  const CodeDef& kind = *network_.code;
  const ValueId code = kind.use ? kind.use(code_build()) : code_;
  const ValueId decoded = kind.decode ? kind.decode(*this, code) : code;
  return {is_float(graph_.value(code).desc.dtype()) ? code : code_, decoded};
}

CodeBuild ModelGraph::code_build() {
  return {*this, code_, heads_, made_};
}

ValueId ModelGraph::decoded(ValueId code) {
  if (network_.code->decode) code = network_.code->decode(*this, code);
  return flat(layers(network_.decoder, code));
}

ValueId ModelGraph::drawn_code() {
  const CodeDef& kind = *network_.code;
  if (!kind.draw) {
    std::string others;
    for (const CodeDef* def : code_defs())
      if (def->draw) others += cat(others.empty() ? "" : ", ", def->name);
    throw Error(ErrorCode::kUsage,
                cat("model.code.kind: no distribution is known of codes of the kind ", kind.name,
                    ", so that none can be drawn; there is one of ", others));
  }
  const ValueId code = kind.draw(*this);
  return is_float(network_.code_row.desc.dtype()) ? batch(code, false, false) : code;
}

ValueId ModelGraph::normal_draws() {
  const ValueId temperature =
      graph_.add_input(model_names::kTemperature, TensorDesc(DType::kF32, {1}));
  return graph_
      .add(kDrawNormal, DrawNormalAttrs{options_.rows, network_.code_size},
           {temperature, step_state()}, "code")
      .front();
}

// The loss takes the last activation in, and what is linear with its loss becomes one node
// (graph/fuse.cpp), which has the layer's name.
ValueId ModelGraph::reconstruction_loss(ValueId code, ValueId target) {
  const std::span<const Layer> decoder(network_.decoder);
  const Layer& last = decoder.back();
  const ValueId x = layers(decoder.first(decoder.size() - 1), code);
  const ValueId z = flat(layer(last, x, kernels::Activation::kIdentity));
  target_ = target;
  decoded_ = z;
  const LossAttrs attrs{
      .activation = last.activation, .loss = config_.loss.kind, .with_gradient = is_training()};
  return graph_.add(kLoss, attrs, {z, target}, last.name).front();
}

ValueId ModelGraph::reconstruction() {
  DIABOLO_CHECK(decoded_ != kNoValue, "the loss comes first");
  if (reconstruction_ == kNoValue)
    reconstruction_ = activated(decoded_, network_.decoder.back().activation, "reconstruction");
  return reconstruction_;
}

std::vector<ValueId> ModelGraph::score(ValueId code, ValueId target, int64_t worst) {
  return graph_.add(kRowScore, RowScoreAttrs{worst}, {decoded(code), target}, "score");
}

}  // namespace diabolo
