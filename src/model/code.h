// Kinds of codes: what is made of the encoder's last layer, in use and while the model is trained;
// what a code is, floats or integers; how one that is given becomes what the decoder reads; layers
// beside the last, states, terms of the loss. One file each in model/codes/.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "model/block.h"
#include "model/config.h"
#include "model/model.h"
#include "model/term.h"

namespace diabolo {

struct CodeBuild {
  ModelGraph& model;
  ValueId code;                    // T[rows,K]: the encoder's last layer
  std::span<const ValueId> heads;  // T[rows,…] of each head; none in use
  std::span<const ValueId> made;   // for terms: TrainedCode::made
};

// In training and validation.
struct TrainedCode {
  ValueId code;                    // T[rows,…]: what terms of the loss take for the code in use
  ValueId decoded;                 // T[rows,…]: what the decoder reads
  std::vector<ValueId> made = {};  // what else its terms and measures are made of
};

struct CodeDef {
  const char* name;  // model.code.kind
  const char* what;
  // Keys of the table model.code, which apply to this kind alone; no two kinds have one of a name.
  std::vector<ModelOption> (*options)() = nullptr;
  // Layers that read what the encoder's last layer reads; it is given.
  std::vector<Layer> (*heads)(const Layer& last) = nullptr;
  // Of the model: "code.…", kOfModel, f32; in the graph by ModelGraph::state, moved on in training
  // by ModelGraph::add_next_state.
  std::vector<StateSpec> (*states)(const ModelConfig& config, const Layer& last) = nullptr;
  // They read the values by ModelGraph::code_build.
  std::vector<TermSpec> (*terms)(const ModelConfig& config) = nullptr;
  // What a code is. Null: as many floats as the last layer gives. Codes that come from outside and
  // codes that are given out are held to its bound.
  CodeRow (*row)(const ModelConfig& config, const Layer& last) = nullptr;
  // The code in use, of the type that `row` says (floats: T). Null: the last layer's rows. An
  // integer of what is not finite is CodeRow's number for no code, and `decode` makes NaN of it.
  ValueId (*use)(const CodeBuild& build) = nullptr;
  // What the decoder reads of a code in use, T[rows,…] of as many numbers as the last layer gives.
  // Null: the code.
  ValueId (*decode)(ModelGraph& model, ValueId code) = nullptr;
  // A code in use out of nothing, [rows,…] as `row` says (floats: f32), by ModelGraph::normal_draws
  // and the like. Null: no distribution of codes is known of this kind.
  ValueId (*draw)(ModelGraph& model) = nullptr;
  // Null: what use and decode make, of which terms read the code if it is floats.
  TrainedCode (*train)(const CodeBuild& build) = nullptr;
};

// The list: X(Name) for every kNameCode.
#define DIABOLO_CODES(X) X(Plain) X(Variational) X(Topk)

#define DIABOLO_CODE(name) extern const CodeDef k##name##Code;
DIABOLO_CODES(DIABOLO_CODE)
#undef DIABOLO_CODE

std::span<const CodeDef* const> code_defs();
const CodeDef& code_of(const ModelConfig& config);
// Of every kind, or one, with where they apply.
std::vector<ConfigKey> code_keys();
std::vector<ConfigKey> keys_of(const CodeDef& code);
// For tests of kinds that are yet to come.
std::vector<const CodeDef*>& changeable_code_defs();

}  // namespace diabolo
