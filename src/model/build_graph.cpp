// From a network to the graph of one mode: train, validate, encode, decode, reconstruct, score.
#include <algorithm>
#include <map>

#include "base/error.h"
#include "graph/autodiff.h"
#include "model/model.h"
#include "ops/ops.h"

namespace diabolo {
namespace {

// Puts together the graph of one mode.
class Builder {
 public:
  Builder(const ModelConfig& config, const Network& network, const BuildOptions& options)
      : config_(config), network_(network), options_(options) {}

  Graph build();

 private:
  DType dtype() const {
    return options_.precision == Precision::kBf16 ? DType::kBf16 : DType::kF32;
  }
  bool is_training() const { return options_.mode == Mode::kTrain; }
  TensorDesc scalar() const { return TensorDesc(DType::kF32, {1}); }

  ValueId input();
  ValueId scaled_input();
  ValueId converted(ValueId source, const char* shift, const char* scale, int64_t features);
  ValueId step_state();
  ValueId corrupted(ValueId x);
  ValueId weight(const Layer& layer);
  ValueId bias(const Layer& layer);
  ValueId layer(const Layer& layer, ValueId x);
  ValueId layers(std::span<const Layer> layers, ValueId x);
  ValueId code(ValueId x) { return layers(network_.encoder, x); }
  ValueId last_loss(ValueId x, ValueId target);
  std::vector<ValueId> penalties();
  ValueId sum(std::vector<ValueId> terms, const std::string& name);
  void score(ValueId x, ValueId target);
  void train(ValueId reconstruction);
  ValueId update(ValueId loss);
  void advance(ValueId loss, ValueId norm, std::span<const ValueId> terms);

  const ModelConfig& config_;
  const Network& network_;
  const BuildOptions& options_;
  Graph graph_;
  uint32_t dropouts_ = 0;
};

ValueId Builder::input() {
  const bool is_resident = is_training() && options_.resident_rows > 0;
  const int64_t rows = is_resident ? options_.resident_rows : options_.rows;
  const int64_t width = options_.mode == Mode::kDecode ? network_.code_size : network_.features;
  const bool is_bytes = options_.source == Source::kRawU8 && options_.mode != Mode::kDecode;
  const DType type = is_bytes ? DType::kU8 : DType::kF32;
  return graph_.add_input(model_names::kInput, TensorDesc(type, {rows, width}));
}

// The batch as the network's first layer and the loss read it.
ValueId Builder::converted(ValueId source, const char* shift, const char* scale, int64_t features) {
  const TensorDesc vector(DType::kF32, {features});
  std::vector<ValueId> in = {source, graph_.add_state(shift, vector),
                             graph_.add_state(scale, vector)};
  GatherAttrs attrs{options_.rows, is_training() && options_.resident_rows > 0, dtype()};
  if (attrs.indexed) {
    in.push_back(
        graph_.add_state(model_names::kOrder, TensorDesc(DType::kU32, {options_.resident_rows})));
    in.push_back(step_state());
  }
  return graph_.add(kGather, attrs, in, "gather").front();
}

ValueId Builder::scaled_input() {
  const ValueId source = input();
  const bool is_decode = options_.mode == Mode::kDecode;
  const bool is_scaled = options_.source == Source::kScaled || is_decode;
  const bool is_resident = is_training() && options_.resident_rows > 0;
  if (is_scaled && !is_resident && dtype() == DType::kF32) return source;
  const int64_t features = is_decode ? network_.code_size : network_.features;
  if (is_decode) return converted(source, model_names::kCodeZero, model_names::kCodeOne, features);
  if (is_scaled) return converted(source, model_names::kZero, model_names::kOne, features);
  return converted(source, model_names::kShift, model_names::kScale, features);
}

// Validation has a state of its own, so that its noise is the same each time.
ValueId Builder::step_state() {
  return graph_.add_state(is_training() ? store_names::kStepState : model_names::kValidationState,
                          step_state_desc());
}

ValueId Builder::corrupted(ValueId x) {
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

ValueId Builder::weight(const Layer& layer) {
  const bool t = layer.is_tied;
  return graph_.add_parameter(
      layer.weight, TensorDesc(dtype(), {t ? layer.out : layer.in, t ? layer.in : layer.out}));
}

ValueId Builder::bias(const Layer& layer) {
  return graph_.add_parameter(layer.name + ".bias", TensorDesc(DType::kF32, {layer.out}));
}

ValueId Builder::layer(const Layer& layer, ValueId x) {
  DenseForwardAttrs attrs;
  attrs.activation = layer.activation;
  attrs.stores_z = is_training() && kernels::saves_z(layer.activation);
  attrs.weight_transposed = layer.is_tied;
  ValueId y = graph_.add(kDenseForward, attrs, {x, weight(layer), bias(layer)}, layer.name).front();
  if (is_training() && layer.dropout > 0) {
    const DropoutAttrs dropout{static_cast<float>(layer.dropout), dropouts_++};
    y = graph_.add(kDropout, dropout, {y, step_state()}, layer.name + " dropout").front();
  }
  return y;
}

ValueId Builder::layers(std::span<const Layer> layers, ValueId x) {
  for (const Layer& one : layers) x = layer(one, x);
  return x;
}

// The last layer with the loss in one node.
ValueId Builder::last_loss(ValueId x, ValueId target) {
  const Layer& last = network_.decoder.back();
  DenseLossAttrs attrs;
  attrs.activation = last.activation;
  attrs.loss = config_.loss.kind;
  attrs.with_gradient = is_training();
  attrs.weight_transposed = last.is_tied;
  return graph_.add(kDenseLoss, attrs, {x, weight(last), bias(last), target}, last.name).front();
}

// Sums of more terms than one node takes are sums of sums.
ValueId Builder::sum(std::vector<ValueId> terms, const std::string& name) {
  constexpr size_t kMost = kernels::kMaxTerms;
  while (terms.size() > 1) {
    std::vector<ValueId> sums;
    for (size_t i = 0; i < terms.size(); i += kMost) {
      const std::span<const ValueId> part(terms.data() + i, std::min(kMost, terms.size() - i));
      sums.push_back(graph_.add(kSumTerms, SumTermsAttrs{}, part, name).front());
    }
    terms = std::move(sums);
  }
  return terms.front();
}

std::vector<ValueId> Builder::penalties() {
  std::vector<ValueId> terms;
  for (const auto* layers : {&network_.encoder, &network_.decoder}) {
    for (const Layer& layer : *layers) {
      if (layer.is_tied) continue;
      const ValueId master =
          graph_.add_parameter(layer.weight, TensorDesc(DType::kF32, {layer.in, layer.out}));
      const L2PenaltyAttrs attrs{static_cast<float>(config_.penalty.l2)};
      terms.push_back(graph_.add(kL2Penalty, attrs, {master}, layer.name + " penalty").front());
    }
  }
  return terms;
}

void Builder::score(ValueId x, ValueId target) {
  const Layer& last = network_.decoder.back();
  if (options_.worst > 0) {
    const ValueId y = layer(last, x);
    const auto out = graph_.add(kRowScore, RowScoreAttrs{options_.worst}, {y, target}, "score");
    graph_.mark_output(out[0], model_names::kScore);
    graph_.mark_output(out[1], model_names::kWorstIndex);
    graph_.mark_output(out[2], model_names::kWorstError);
    return;
  }
  const DenseScoreAttrs attrs{last.activation, true, last.is_tied};
  const auto out = graph_.add(kDenseScore, attrs, {x, weight(last), bias(last), target}, "score");
  graph_.mark_output(out.front(), model_names::kScore);
}

// Everything behind the loss: gradients, update, next step.
void Builder::train(ValueId reconstruction) {
  std::vector<ValueId> terms = {reconstruction};
  std::vector<ValueId> named = {reconstruction};  // as LossTerm counts them
  if (config_.penalty.l2 > 0) {
    const std::vector<ValueId> parts = penalties();
    terms.insert(terms.end(), parts.begin(), parts.end());
    named.push_back(sum(parts, "penalty"));
  }
  const ValueId loss = sum(named, "loss");
  differentiate(graph_, terms);
  const ValueId norm = update(loss);
  advance(loss, norm, named);
}

// Changes the parameters. Returns the gradient's norm, or kNoValue if nothing is clipped.
ValueId Builder::update(ValueId loss) {
  const auto elems = static_cast<int64_t>(BlobLayout::of(network_.parameters()).elems);
  const TensorDesc blob(DType::kF32, {elems});
  const kernels::OptimizerRule& rule = options_.optimizer;
  const ValueId grads = graph_.add_state(store_names::kGrads, blob);
  std::vector<ValueId> in = {grads, step_state(), loss};
  ValueId norm = kNoValue;
  if (rule.clip_norm > 0) {
    norm = graph_.add(kGlobalNorm, GlobalNormAttrs{}, {grads}, "gradient norm").front();
    in.push_back(norm);
  }
  std::vector<ValueId> out = {graph_.add_state(store_names::kMaster, blob)};
  if (has_m(rule)) out.push_back(graph_.add_state(store_names::kM, blob));
  if (has_v(rule)) out.push_back(graph_.add_state(store_names::kV, blob));
  const bool has_low = dtype() == DType::kBf16;
  if (has_low)
    out.push_back(graph_.add_state(store_names::kLow, TensorDesc(DType::kBf16, {elems})));
  graph_.add_into(kOptimizer, OptimizerAttrs{rule, has_low}, in, out, "optimizer");
  return norm;
}

// Moves the state to the next step and leaves the loss, with its terms where there are several.
void Builder::advance(ValueId loss, ValueId norm, std::span<const ValueId> terms) {
  std::vector<ValueId> in = {graph_.add_state(store_names::kPlans, step_plans_desc()), loss};
  std::vector<ValueId> out = {step_state(),
                              graph_.add_state(store_names::kLosses, step_losses_desc())};
  AdvanceAttrs attrs{static_cast<uint64_t>(options_.rows), norm != kNoValue};
  if (attrs.has_norm) in.push_back(norm);
  if (terms.size() > 1) {  // one term is the loss itself
    attrs.terms = static_cast<int>(terms.size());
    in.insert(in.end(), terms.begin(), terms.end());
    out.push_back(graph_.add_state(store_names::kTerms, step_terms_desc()));
  }
  graph_.add_into(kAdvance, attrs, in, out, "advance");
}

Graph Builder::build() {
  DIABOLO_CHECK(options_.rows > 0, "a batch has rows");
  const ValueId target = scaled_input();
  const std::span<const Layer> decoder(network_.decoder);
  switch (options_.mode) {
    case Mode::kTrain:
      train(last_loss(layers(decoder.first(decoder.size() - 1), code(corrupted(target))), target));
      break;
    case Mode::kValidate:
      graph_.mark_output(
          last_loss(layers(decoder.first(decoder.size() - 1), code(corrupted(target))), target),
          model_names::kLoss);
      break;
    case Mode::kEncode:
      graph_.mark_output(code(target), model_names::kCode);
      break;
    case Mode::kDecode:
      graph_.mark_output(layers(decoder, target), model_names::kReconstruction);
      break;
    case Mode::kReconstruct:
      graph_.mark_output(layers(decoder, code(target)), model_names::kReconstruction);
      break;
    case Mode::kScore:
      score(layers(decoder.first(decoder.size() - 1), code(target)), target);
      break;
  }
  return std::move(graph_);
}

}  // namespace

const char* name(Mode mode) {
  constexpr const char* kNames[] = {"train",  "validate",    "encode",
                                    "decode", "reconstruct", "score"};
  return kNames[static_cast<int>(mode)];
}

Graph build_graph(const ModelConfig& config, const Network& network, const BuildOptions& options) {
  return Builder(config, network, options).build();
}

StoreOptions store_options(Precision precision) {
  StoreOptions options;
  options.has_low = precision == Precision::kBf16;
  return options;
}

StoreOptions store_options(Precision precision, const kernels::OptimizerRule& rule) {
  StoreOptions options = store_options(precision);
  options.has_training = true;
  options.has_m = has_m(rule);
  options.has_v = has_v(rule);
  return options;
}

std::vector<StoreRecord> scaling_records(const Network& network) {
  const TensorDesc row(DType::kF32, {network.features});
  const TensorDesc code(DType::kF32, {network.code_size});
  return {{model_names::kShift, row},     {model_names::kScale, row},
          {model_names::kZero, row},      {model_names::kOne, row},
          {model_names::kCodeZero, code}, {model_names::kCodeOne, code}};
}

std::vector<StoreRecord> model_records(const Network& network, const StoreOptions& options) {
  auto records = store_records(BlobLayout::of(network.parameters()), options);
  for (StoreRecord& record : scaling_records(network)) records.push_back(std::move(record));
  return records;
}

void add_scaling(ParameterStore& store, const Network& network, const Scaling& scaling,
                 Stream& stream) {
  const auto features = static_cast<size_t>(network.features);
  const auto codes = static_cast<size_t>(network.code_size);
  const std::map<std::string, std::vector<float>> values = {
      {model_names::kShift, scaling.shift},
      {model_names::kScale, scaling.scale},
      {model_names::kZero, std::vector<float>(features, 0.0f)},
      {model_names::kOne, std::vector<float>(features, 1.0f)},
      {model_names::kCodeZero, std::vector<float>(codes, 0.0f)},
      {model_names::kCodeOne, std::vector<float>(codes, 1.0f)}};
  for (const StoreRecord& record : scaling_records(network)) {
    store.add_state(record.name, record.desc);
    DIABOLO_CHECK(values.at(record.name).size() == static_cast<size_t>(record.desc.elems()),
                  record.name);
    store.write(store.state(record.name), values.at(record.name).data(), stream);
  }
}

Policy policy_of(const TrainConfig& train) {
  Policy policy;
  policy.fast = train.fast_policy;
  policy.allows_tf32 = train.precision == Precision::kTf32;
  return policy;
}

}  // namespace diabolo
