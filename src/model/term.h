// The terms of a loss. A loss is the sum of what its terms contribute, f32[1] each: the
// reconstruction, what the kind of code brings, and each penalty that has a weight. A measure
// stands in the same list and is reported as they are, but is no part of the loss. loss_terms is
// the one list; graphs, metrics, checkpoints and what is said of a training follow it and know no
// name.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "graph/parameter_store.h"
#include "model/config.h"

namespace diabolo {

class Graph;
class ModelGraph;
struct Network;
struct TermDef;

// A term as a configuration has it.
struct TermSpec {
  std::string name;  // "reconstruction"; in metrics, checkpoints …
  double weight = 1;
  int64_t warmup_steps = 0;           // the weight rises over these from 0, linearly
  bool counts_in_validation = false;  // with its whole weight
  bool in_loss = true;                // else a measure: its value as it is, in training alone
  const TermDef* def = nullptr;       // but for the reconstruction

  // In step `step`, counted from 0.
  double weight_at(uint64_t step) const;
};

// What a name of a term may have in the interface's structs.
inline constexpr size_t kMaxTermName = 31;

// Reconstruction, the terms and measures of the code, then the penalties. Throws Error{kUsage} for
// more than kernels::kMaxLossTerms.
std::vector<TermSpec> loss_terms(const ModelConfig& config);
// Throws Error{kUsage} for a weight that a step, in f32, does not tell from 0, or hardly. Models
// that have one open, and trainings go on with it.
void require_weights(std::span<const TermSpec> terms);
// What a step keeps of them: where there are several, what each came to, and where a weight
// changes, the weights of the steps to come.
std::vector<StateSpec> term_states(std::span<const TermSpec> terms);
bool has_schedule(std::span<const TermSpec> terms);
// Of each penalty its weight, the weight's warm-up and its own options.
std::vector<ConfigKey> penalty_keys();
std::vector<ConfigKey> keys_of(const TermDef& penalty);

// What a term came to, or what they came to by name.
struct TermValue {
  std::string name;
  double value = 0;
  bool in_loss = true;
};
using TermValues = std::vector<TermValue>;

// What a term is built from. What has more to be made for it is ModelGraph's: reconstruction(),
// hidden(), encoded_again(), states.
struct TermBuild {
  ModelGraph& model;
  const ModelConfig& config;
  const Network& network;
  ValueId target;                   // T[rows,D], scaled: what the reconstruction is compared with
  ValueId code;                     // T[rows,…], what terms take for the code in use
  std::span<const TermSpec> terms;  // of the loss
  size_t index;                     // of the one that is built

  const TermSpec& spec() const { return terms[index]; }
};

// Of one value or more, f32[1] each: sums of more than one node takes are sums of sums.
ValueId sum_of(Graph& graph, std::vector<ValueId> parts, const std::string& name);
// What it contributes to the loss, f32[1]: the step's weight times `raw`, f32[1].
ValueId weighed(const TermBuild& build, ValueId raw);

// A term: a penalty has a file in model/terms/, that of a code is in the code's.
struct TermDef {
  // Of a penalty: its keys are model.penalty.NAME and model.penalty.NAME_warmup_steps. The keys of
  // a code's term are options of the code.
  const char* name;
  const char* meaning = "";  // of the first: "times the sum of squared weights"
  // Values f32[1] whose sum is the contribution, or what is measured.
  std::vector<ValueId> (*build)(const TermBuild& build);
  const char* reported = name;  // TermSpec::name
  bool is_of_0_1 = false;       // then its first key is in every model and every identity
  // Of a penalty, in the validation loss, with its whole weight.
  bool counts_in_validation = false;
  // Further keys of a penalty: of the table model.penalty, with names that begin with its own and
  // an underscore. They mean something where it has a weight.
  std::vector<ModelOption> (*options)() = nullptr;
  // Of the model while the term is in the loss: "NAME.…", kOfModel, f32; in the graph by
  // ModelGraph::state, moved on in training by ModelGraph::add_next_state.
  std::vector<StateSpec> (*states)(const ModelConfig& config, const Network& network) = nullptr;
};

// The one list: X(Name) for every kNameTerm. In this order they stand in the loss.
#define DIABOLO_TERMS(X) X(L2) X(CodeL1)

#define DIABOLO_TERM(name) extern const TermDef k##name##Term;
DIABOLO_TERMS(DIABOLO_TERM)
#undef DIABOLO_TERM
std::span<const TermDef* const> term_defs();
// For tests of penalties that are yet to come.
std::vector<const TermDef*>& changeable_term_defs();

}  // namespace diabolo
