#include "model/training_graph.h"

#include <algorithm>

#include "graph/autodiff.h"
#include "model/model_graph.h"
#include "ops/penalty.h"
#include "ops/training.h"
#include "ops/update_state.h"

namespace diabolo {
namespace {

ModelGraphOptions model_options(const TrainingGraphOptions& options, Purpose purpose) {
  return {options.rows, options.precision, options.source, purpose,
          purpose == Purpose::kTraining ? options.resident_rows : 0};
}

ValueId reconstruction_loss(ModelGraph& model) {
  const ValueId target = model.input_rows();
  return model.reconstruction_loss(model.encoded(model.corrupted(target)), target);
}

// What stands behind the loss: gradients, update, next step.
class Training {
 public:
  Training(const ModelConfig& config, const Network& network, const TrainingGraphOptions& options)
      : config_(config),
        network_(network),
        options_(options),
        model_(config, network, model_options(options, Purpose::kTraining)),
        graph_(model_.graph()) {}

  Graph build();

 private:
  std::vector<ValueId> penalties();
  ValueId sum(std::vector<ValueId> terms, const std::string& name);
  ValueId update(ValueId loss);
  void update_states(ValueId loss, ValueId norm);
  void advance(ValueId loss, ValueId norm, std::span<const ValueId> terms);

  const ModelConfig& config_;
  const Network& network_;
  const TrainingGraphOptions& options_;
  ModelGraph model_;
  Graph& graph_;
};

// Sums of more terms than one node takes are sums of sums.
ValueId Training::sum(std::vector<ValueId> terms, const std::string& name) {
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

std::vector<ValueId> Training::penalties() {
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

// Changes the parameters. Returns the gradient's norm, or kNoValue if nothing is clipped.
ValueId Training::update(ValueId loss) {
  const auto elems = static_cast<int64_t>(BlobLayout::of(network_.parameters()).elems);
  const TensorDesc blob(DType::kF32, {elems});
  const kernels::OptimizerRule& rule = options_.optimizer;
  const ValueId grads = graph_.add_state(store_names::kGrads, blob);
  std::vector<ValueId> in = {grads, model_.step_state(), loss};
  ValueId norm = kNoValue;
  if (rule.clip_norm > 0) {
    norm = graph_.add(kGlobalNorm, GlobalNormAttrs{}, {grads}, "gradient norm").front();
    in.push_back(norm);
  }
  std::vector<ValueId> out = {graph_.add_state(store_names::kMaster, blob)};
  if (has_m(rule)) out.push_back(graph_.add_state(store_names::kM, blob));
  if (has_v(rule)) out.push_back(graph_.add_state(store_names::kV, blob));
  const bool has_low = model_.dtype() == DType::kBf16;
  if (has_low)
    out.push_back(graph_.add_state(store_names::kLow, TensorDesc(DType::kBf16, {elems})));
  graph_.add_into(kOptimizer, OptimizerAttrs{rule, has_low}, in, out, "optimizer");
  return norm;
}

// Behind the loss, so that a void step leaves the model's state as it was.
void Training::update_states(ValueId loss, ValueId norm) {
  for (const auto& [state, next, name] : model_.next_states()) {
    std::vector<ValueId> in = {next, model_.step_state(), loss};
    if (norm != kNoValue) in.push_back(norm);
    graph_.add_into(kUpdateState, UpdateStateAttrs{norm != kNoValue}, in, {&state, 1}, name);
  }
}

// Moves the state to the next step and leaves the loss, with its terms where there are several.
void Training::advance(ValueId loss, ValueId norm, std::span<const ValueId> terms) {
  std::vector<ValueId> in = {graph_.add_state(store_names::kScalars, step_scalars_desc()), loss};
  std::vector<ValueId> out = {model_.step_state(),
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

Graph Training::build() {
  const ValueId reconstruction = reconstruction_loss(model_);
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
  update_states(loss, norm);
  advance(loss, norm, named);
  return model_.take();
}

}  // namespace

Graph training_graph(const ModelConfig& config, const Network& network,
                     const TrainingGraphOptions& options) {
  return Training(config, network, options).build();
}

Graph validation_graph(const ModelConfig& config, const Network& network,
                       const TrainingGraphOptions& options) {
  ModelGraph model(config, network, model_options(options, Purpose::kValidation));
  model.mark_output(reconstruction_loss(model), model_names::kLoss);
  return model.take();
}

}  // namespace diabolo
