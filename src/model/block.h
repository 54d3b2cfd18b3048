// A block is to layers what an OpDef is to ops: the options that a layer's line may say, its
// shapes, parameters and states, the nodes it becomes, and the line that inverts it. One file each
// in model/blocks/.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/parameter_store.h"
#include "kernels/common/activations.h"

namespace diabolo {

class ModelGraph;
struct BlockDef;
struct Layer;

using Extents = std::vector<int64_t>;  // extents of one row: {784}, or {28, 28, 1}
// Throws Error{kUsage} for more than this version can hold.
int64_t elems_of(const Extents& shape);
std::string shape_text(const Extents& shape);  // "28x28x1"

inline constexpr int64_t kMaxWidth = 1 << 20;
inline constexpr uint64_t kMaxParameters = uint64_t{1} << 34;  // of a model

// What a layer's line may say: a number, or several, "3x5", each in a range; or one of the words
// that it lists.
struct BlockOption {
  const char* name;  // the first one of a block is said without it, and so is a word
  const char* meaning;
  int64_t low = 1, high = kMaxWidth;
  size_t most = 1;                          // numbers
  std::optional<int64_t> standard = {};     // empty: the line has to say it
  std::span<const char* const> words = {};  // its value is one's place in here

  // As a line says it: "kernel 3x5", "same".
  std::string text(const std::vector<int64_t>& value, bool is_first) const;
};

// One line of model.encoder.layers: "dense 64 tanh".
struct LayerLine {
  const BlockDef* block = nullptr;
  std::vector<std::vector<int64_t>> options = {};  // one per option of the block, not empty
  std::optional<kernels::Activation> activation = {};

  // place: of what the line is, for messages. Throws Error{kUsage} naming the line and, for a word
  // that is not known, the nearest.
  static LayerLine parse(const std::string& text, const std::string& place);
  std::string text() const;
};

// A layer of a network. The block's `shape` fills what depends on the rows that it reads.
struct Layer {
  std::string name;  // "encoder.0"
  LayerLine line;
  Extents in, out = {};
  std::vector<ParameterSpec> parameters = {};  // f32; of the encoder's layer where shared
  std::vector<StateSpec> states = {};          // kOfModel
  kernels::Activation activation = kernels::Activation::kIdentity;
  double dropout = 0;    // of its outputs, in training
  bool is_tied = false;  // its weight is an encoder's, read the other way round

  int64_t in_width() const { return elems_of(in); }
  int64_t out_width() const { return elems_of(out); }
};

struct LayerBuild {
  ModelGraph& model;
  const Layer& layer;
  ValueId x;                       // T[rows,…], as many elements as layer.in
  kernels::Activation activation;  // the layer's, or none where a loss takes it
};

struct BlockDef {
  const char* name;
  const char* what;
  std::span<const BlockOption> options;
  // Then an activation and dropout follow. A block whose nodes take no activation in gives what
  // ModelGraph::activated makes.
  bool has_weights = true;
  // From line and in: out, parameters, states. Throws Error{kUsage}.
  void (*shape)(Layer& layer);
  // Gives T[rows,…] of as many elements as layer.out. State goes by ModelGraph::state.
  ValueId (*build)(const LayerBuild& build);
  // The layer, of any block, that makes rows of layer.in from those of layer.out. Null: a mirror
  // leaves it out.
  LayerLine (*mirror)(const Layer& layer) = nullptr;
  // Shares the weights of the encoder's layer, whose mirror has this layer's block and widths; what
  // else has to agree is checked here. Throws Error{kUsage}. Null: it cannot.
  void (*tie)(Layer& layer, const Layer& encoder) = nullptr;
};

// What a parameter of these extents is; throws Error{kUsage} for more than this version can hold.
TensorDesc parameter_desc(const Layer& layer, std::initializer_list<int64_t> extents);

// The list: X(Name) for every kNameBlock.
#define DIABOLO_BLOCKS(X) X(Dense) X(Conv) X(ConvTranspose)

#define DIABOLO_BLOCK(name) extern const BlockDef k##name##Block;
DIABOLO_BLOCKS(DIABOLO_BLOCK)
#undef DIABOLO_BLOCK

std::span<const BlockDef* const> block_defs();
// For tests of blocks that are yet to come.
std::vector<const BlockDef*>& changeable_block_defs();

}  // namespace diabolo
