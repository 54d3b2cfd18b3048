// Kinds of codes. The encoder's last layer gives the code in use; a kind may add layers beside it,
// terms of the loss, and what the decoder reads while the model is trained. One file each in
// model/codes/.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "model/block.h"
#include "model/config.h"
#include "model/term.h"

namespace diabolo {

struct CodeBuild {
  ModelGraph& model;
  ValueId code;                    // T[rows,K]: the encoder's last layer
  std::span<const ValueId> heads;  // T[rows,…] of each head
};

struct CodeDef {
  const char* name;  // model.code.kind
  const char* what;
  // Keys of the table model.code, which apply to this kind alone.
  std::vector<ModelOption> (*options)() = nullptr;
  // Layers that read what the encoder's last layer reads; it is given.
  std::vector<Layer> (*heads)(const Layer& last) = nullptr;
  // They read the values by ModelGraph::code_build.
  std::vector<TermSpec> (*terms)(const ModelConfig& config) = nullptr;
  // What the decoder reads in training and validation. Null: the code.
  ValueId (*build)(const CodeBuild& build) = nullptr;
};

// The list: X(Name) for every kNameCode.
#define DIABOLO_CODES(X) X(Plain) X(Variational)

#define DIABOLO_CODE(name) extern const CodeDef k##name##Code;
DIABOLO_CODES(DIABOLO_CODE)
#undef DIABOLO_CODE

std::span<const CodeDef* const> code_defs();
const CodeDef& code_of(const ModelConfig& config);
// Of every kind, with where they apply.
std::vector<ConfigKey> code_keys();

}  // namespace diabolo
