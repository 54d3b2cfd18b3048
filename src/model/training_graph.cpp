#include "model/training_graph.h"

#include "graph/autodiff.h"
#include "model/code.h"
#include "model/model_graph.h"
#include "model/term.h"
#include "ops/mean_abs.h"
#include "ops/training.h"
#include "ops/update_state.h"
#include "ops/weigh_term.h"

namespace diabolo {
namespace {

ModelGraphOptions model_options(const TrainingGraphOptions& options, Purpose purpose) {
  return {options.rows, options.precision, options.source, purpose,
          purpose == Purpose::kTraining ? options.resident_rows : 0};
}

// Values of the graph of a loss.
struct Reconstruction {
  ValueId code, loss;  // the code in use
};
Reconstruction reconstruction_of(ModelGraph& model) {
  const ValueId target = model.input_rows();
  const ValueId code = model.encoded(model.corrupted(target));
  const ValueId loss = model.reconstruction_loss(code, target);
  return {model.code_in_use(), loss};
}

// The values of term `index`, appended to the parts of the loss too unless it is a measure.
std::vector<ValueId> build_term(ModelGraph& model, ValueId code, std::span<const TermSpec> terms,
                                size_t index, std::vector<ValueId>& parts) {
  const auto more = terms[index].def->build(
      {model, model.config(), model.network(), model.target(), code, terms, index});
  if (terms[index].in_loss) parts.insert(parts.end(), more.begin(), more.end());
  return more;
}

// What stands behind the loss: gradients, update, next step.
class Training {
 public:
  Training(const ModelConfig& config, const Network& network, const TrainingGraphOptions& options)
      : network_(network),
        options_(options),
        terms_(loss_terms(config)),
        model_(config, network, model_options(options, Purpose::kTraining)),
        graph_(model_.graph()) {}

  Graph build();

 private:
  ValueId guarded(ValueId loss);
  ValueId update(ValueId loss);
  void update_states(ValueId loss, ValueId norm);
  void advance(ValueId loss, ValueId norm, std::span<const ValueId> terms);

  const Network& network_;
  const TrainingGraphOptions& options_;
  const std::vector<TermSpec> terms_;
  ModelGraph model_;
  Graph& graph_;
};

// The loss, but NaN where the model's state would become what is not finite, or sums up to it: then
// the step is void. a - a is 0 for every other number.
ValueId Training::guarded(ValueId loss) {
  if (model_.next_states().empty()) return loss;
  std::vector<ValueId> sizes;
  for (const ModelGraph::NextState& next : model_.next_states())
    sizes.push_back(graph_.add(kMeanAbs, MeanAbsAttrs{}, {next.next}, next.name + " size").front());
  const ValueId size = sum_of(graph_, sizes, "size of the state");
  const ValueId negative =
      graph_.add(kWeighTerm, WeighTermAttrs{-1}, {size}, "size of the state, negative").front();
  const ValueId zero = sum_of(graph_, {size, negative}, "state is finite");
  return sum_of(graph_, {loss, zero}, "loss, state");
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
    out.push_back(graph_.add_state(store_names::kTerms, step_terms_desc(attrs.terms)));
  }
  graph_.add_into(kAdvance, attrs, in, out, "advance");
}

Graph Training::build() {
  const Reconstruction made = reconstruction_of(model_);
  std::vector<ValueId> parts = {made.loss};  // of the loss
  std::vector<ValueId> named = {made.loss};  // one per term, measures too
  std::vector<ValueId> summed = {made.loss};
  for (size_t i = 1; i < terms_.size(); ++i) {
    named.push_back(
        sum_of(graph_, build_term(model_, made.code, terms_, i, parts), terms_[i].name));
    if (terms_[i].in_loss) summed.push_back(named.back());
  }
  const ValueId loss = guarded(sum_of(graph_, summed, "loss"));
  differentiate(graph_, parts);
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
  const Reconstruction made = reconstruction_of(model);
  const std::vector<TermSpec> terms = loss_terms(config);
  std::vector<ValueId> parts = {made.loss};
  for (size_t i = 1; i < terms.size(); ++i)
    if (terms[i].counts_in_validation) build_term(model, made.code, terms, i, parts);
  model.mark_output(sum_of(model.graph(), parts, "loss"), model_names::kLoss);
  return model.take();
}

}  // namespace diabolo
