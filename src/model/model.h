// A model as a composition: encoder layers, code, decoder layers, corruption, terms of a loss. From
// it graphs are built for its tasks (task.h) and for training and validation (training_graph.h),
// all over the same parameters (graph/parameter_store.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "graph/parameter_store.h"
#include "graph/plan.h"
#include "model/block.h"
#include "model/config.h"

namespace diabolo {

struct CodeDef;

// What a code is.
struct CodeRow {
  TensorDesc desc;  // of one row: f32, or integers
  // Of integers: each is below this. Their type has room for one more number, its greatest, which
  // stands for no code: what is made of numbers that are not finite.
  uint64_t values = 0;
};

struct Network {
  int64_t features = 0;  // D, of a row
  CodeRow code_row;
  int64_t code_size = 0;  // numbers of it
  const CodeDef* code = nullptr;
  // The encoder's last gives the code, from what the heads of the kind of code read too.
  std::vector<Layer> encoder, heads, decoder;
  std::vector<StateSpec> part_states = {};  // of the kind of code and of terms, beside layers'

  // config must be resolved; row: the shape of one. Throws Error{kUsage} for layers that do not
  // fit.
  static Network of(const ModelConfig& config, const Extents& row);
  static Network of(const ModelConfig& config, const TensorDesc& row);
  static Network of(const ModelConfig& config, int64_t features);
  std::vector<const Layer*> layers() const;
  // f32, each once: a weight that layers share is the first one's.
  std::vector<ParameterSpec> parameters() const;
  std::vector<StateSpec> states() const;  // of the model, beside its parameters
  uint64_t parameter_count() const;
};

// By (seed, parameter, element); one vector per entry of network.parameters(), or of its states().
std::vector<std::vector<float>> initial_parameters(const Network& network, uint64_t seed);
using StateValues = std::vector<std::vector<float>>;
StateValues initial_states(const Network& network, uint64_t seed);

// Names of inputs, outputs and state of the graphs, beside those of store_names.
namespace model_names {
inline constexpr const char* kInput = "input";   // u8|f32 [rows or N, D]; decode: rows of code_row
inline constexpr const char* kDraws = "@draws";  // input, step state: of a use that draws numbers
inline constexpr const char* kTemperature = "@temperature";  // input f32[1], of a use that asks
inline constexpr const char* kCode = "code";  // output, rows of Network::code_row; floats: T
inline constexpr const char* kReconstruction = "reconstruction";  // output T[rows,D], scaled units
inline constexpr const char* kLoss = "loss";                      // output f32[1]
inline constexpr const char* kScore = "score";                    // output f32[rows]
inline constexpr const char* kWorstIndex = "worst_index";         // output u32[rows,M]
inline constexpr const char* kWorstError = "worst_error";         // output f32[rows,M]
inline constexpr const char* kShift = "@shift";                   // state f32[D], of raw input
inline constexpr const char* kScale = "@scale";
inline constexpr const char* kOrder = "@order";  // state u32[N], of resident training data
inline constexpr const char* kOrderState = "@order_state";            // step state: seed and epoch
inline constexpr const char* kValidationState = "@validation_state";  // step state of its own
}  // namespace model_names

// What arrives as "input".
enum class Source {
  kRawU8,   // bytes; scaled on the device by @shift and @scale
  kRawF32,  // floats; the same
  kScaled,  // f32 that was scaled on the way in (convert_rows)
};

// What graphs of a network read and write beside its parameters: copies for products, the network's
// own state, the scaling; and in training what a step needs.
std::vector<StateSpec> inference_states(const Network& network, Precision precision);
std::vector<StateSpec> training_states(const Network& network, const Config& config);
// Bytes of a store with these states.
uint64_t store_bytes(const Network& network, std::span<const StateSpec> states);
// Writes the scaling and the network's own state.
void write_states(const ParameterStore& store, const Network& network, const Scaling& scaling,
                  const StateValues& values, Stream& stream);

// The policy of plans for a configuration.
Policy policy_of(const TrainConfig& train);

}  // namespace diabolo
