#include "model/term.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "base/error.h"
#include "model/code.h"
#include "model/model_graph.h"
#include "ops/training.h"
#include "ops/weigh_term.h"

namespace diabolo {
namespace {

#define DIABOLO_TERM(name) &k##name##Term,
constexpr const TermDef* kTermDefs[] = {DIABOLO_TERMS(DIABOLO_TERM)};
#undef DIABOLO_TERM

constexpr const char* kTable = "model.penalty";

ModelOption weight_of(const TermDef& def) {
  return {.table = kTable, .name = def.name, .meaning = def.meaning, .high = 1e6};
}

ModelOption warmup_of(const TermDef& def) {
  return {.table = kTable,
          .name = cat(def.name, "_warmup_steps"),
          .meaning = cat("steps over which the weight of ", def.name, " rises from 0"),
          .type = ConfigType::kInt,
          .high = 1e12};
}

}  // namespace

std::vector<ConfigKey> keys_of(const TermDef& penalty) {
  const auto is_on = [def = &penalty](const Config& c) {
    return weight_of(*def).number(c.model) > 0;
  };
  std::vector<ConfigKey> keys = {weight_of(penalty).key([](const Config&) { return true; })};
  if (penalty.is_of_0_1) keys.back().applies = nullptr;
  keys.push_back(warmup_of(penalty).key(is_on));
  if (!penalty.options) return keys;
  for (const ModelOption& option : penalty.options()) {
    DIABOLO_CHECK(option.path().starts_with(cat(kTable, ".", penalty.name, "_")), option.path());
    keys.push_back(option.key(is_on));
  }
  return keys;
}

std::vector<ConfigKey> penalty_keys() {
  std::vector<ConfigKey> keys;
  for (const TermDef* def : term_defs())
    for (ConfigKey& key : keys_of(*def)) keys.push_back(std::move(key));
  return keys;
}

std::vector<const TermDef*>& changeable_term_defs() {
  static std::vector<const TermDef*> defs(std::begin(kTermDefs), std::end(kTermDefs));
  return defs;
}

std::span<const TermDef* const> term_defs() {
  return changeable_term_defs();
}

double TermSpec::weight_at(uint64_t step) const {
  const auto warmup = static_cast<uint64_t>(warmup_steps);
  if (step >= warmup) return weight;
  return weight * static_cast<double>(step) / static_cast<double>(warmup);
}

std::vector<TermSpec> loss_terms(const ModelConfig& config) {
  std::vector<TermSpec> terms = {{.name = "reconstruction", .counts_in_validation = true}};
  const CodeDef& code = code_of(config);
  if (code.terms)
    for (TermSpec& term : code.terms(config)) terms.push_back(std::move(term));
  for (const TermDef* def : term_defs()) {
    const double weight = weight_of(*def).number(config);
    if (weight > 0)
      terms.push_back({.name = def->reported,
                       .weight = weight,
                       .warmup_steps = warmup_of(*def).integer(config),
                       .counts_in_validation = def->counts_in_validation,
                       .def = def});
  }
  for (const TermSpec& term : terms)
    DIABOLO_CHECK(!term.name.empty() && term.name.size() <= kMaxTermName &&
                      (term.in_loss || !term.counts_in_validation),
                  term.name);
  if (terms.size() > kernels::kMaxLossTerms)
    throw Error(ErrorCode::kUsage, cat("model.penalty: expected a loss of at most ",
                                       kernels::kMaxLossTerms, " terms and measures, found ",
                                       terms.size(), "; give fewer penalties a weight"));
  return terms;
}

void require_weights(std::span<const TermSpec> terms) {
  constexpr float kLeast = std::numeric_limits<float>::min();
  for (const TermSpec& term : terms)
    if (term.weight > 0 && static_cast<float>(term.weight) < kLeast)
      throw Error(ErrorCode::kUsage,
                  cat("the weight of ", term.name, " in the loss: expected 0 or at least ", kLeast,
                      ", found ", term.weight));
}

bool has_schedule(std::span<const TermSpec> terms) {
  return std::ranges::any_of(terms, [](const TermSpec& term) { return term.warmup_steps > 0; });
}

ValueId sum_of(Graph& graph, std::vector<ValueId> parts, const std::string& name) {
  constexpr size_t kMost = kernels::kMaxTerms;
  while (parts.size() > 1) {
    std::vector<ValueId> sums;
    for (size_t i = 0; i < parts.size(); i += kMost) {
      const std::span<const ValueId> some(parts.data() + i, std::min(kMost, parts.size() - i));
      sums.push_back(graph.add(kSumTerms, SumTermsAttrs{}, some, name).front());
    }
    parts = std::move(sums);
  }
  return parts.front();
}

ValueId weighed(const TermBuild& build, ValueId raw) {
  const TermSpec& spec = build.spec();
  Graph& graph = build.model.graph();
  WeighTermAttrs attrs{static_cast<float>(spec.weight)};
  std::vector<ValueId> in = {raw};
  if (spec.warmup_steps > 0 && build.model.is_training()) {
    attrs.column = static_cast<int>(build.index);
    const int count = static_cast<int>(build.terms.size());
    in.push_back(graph.add_state(store_names::kTermWeights, step_terms_desc(count)));
    in.push_back(build.model.step_state());
  }
  return graph.add(kWeighTerm, attrs, in, spec.name + " weighed").front();
}

std::vector<StateSpec> term_states(std::span<const TermSpec> terms) {
  const TensorDesc desc = step_terms_desc(static_cast<int>(terms.size()));
  std::vector<StateSpec> states;
  if (terms.size() > 1) states.push_back({store_names::kTerms, desc});
  if (has_schedule(terms)) states.push_back({store_names::kTermWeights, desc});
  return states;
}

}  // namespace diabolo
