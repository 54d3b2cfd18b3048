#include "model/term.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "ops/training.h"

namespace diabolo {
namespace {

#define DIABOLO_TERM(name) &k##name##Term,
constexpr std::array kTermDefs = {DIABOLO_TERMS(DIABOLO_TERM)};
#undef DIABOLO_TERM

}  // namespace

double TermSpec::weight_at(uint64_t step) const {
  const auto warmup = static_cast<uint64_t>(warmup_steps);
  if (step >= warmup) return weight;
  return weight * static_cast<double>(step) / static_cast<double>(warmup);
}

std::vector<TermSpec> loss_terms(const ModelConfig& config) {
  std::vector<TermSpec> terms = {{.name = "reconstruction", .counts_in_validation = true}};
  for (const TermDef* def : kTermDefs)
    if (config.penalty.l2 > 0)
      terms.push_back({.name = def->reported, .weight = config.penalty.l2, .penalty = def});
  if (terms.size() > kernels::kMaxLossTerms)
    throw Error(ErrorCode::kUsage,
                cat("model.penalty: expected a loss of at most ", kernels::kMaxLossTerms,
                    " terms, found ", terms.size(), "; give fewer penalties a weight"));
  return terms;
}

bool has_schedule(std::span<const TermSpec> terms) {
  return std::ranges::any_of(terms, [](const TermSpec& term) { return term.warmup_steps > 0; });
}

std::vector<StateSpec> term_states(std::span<const TermSpec> terms) {
  const TensorDesc desc = step_terms_desc(static_cast<int>(terms.size()));
  std::vector<StateSpec> states;
  if (terms.size() > 1) states.push_back({store_names::kTerms, desc});
  if (has_schedule(terms)) states.push_back({store_names::kTermWeights, desc});
  return states;
}

}  // namespace diabolo
