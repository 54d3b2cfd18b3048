// A graph of a model while it is being built: each function adds a piece and gives back the value
// it makes. What the pieces are put together to: task.cpp, training_graph.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/model.h"

namespace diabolo {

enum class Purpose : uint8_t { kUse, kValidation, kTraining };

struct ModelGraphOptions {
  int64_t rows = 0;  // of a batch
  Precision precision = Precision::kF32;
  Source source = Source::kScaled;
  Purpose purpose = Purpose::kUse;
  // Training only: the input holds this many rows, of which a batch is picked by @order; 0: the
  // input is the batch.
  int64_t resident_rows = 0;
};

struct CodeBuild;
struct TrainedCode;

class ModelGraph {
 public:
  ModelGraph(const ModelConfig& config, const Network& network, const ModelGraphOptions& options);

  // The batch as the network's first layer and the loss read it.
  ValueId input_rows(const char* name = model_names::kInput);  // T[rows,D], scaled
  // T[rows,K], or integers of the shape that a row of codes has
  ValueId input_codes(const char* name = model_names::kInput);
  // [rows,…] of a type, as they come: labels, weights.
  ValueId input_numbers(const char* name, DType dtype, std::vector<int64_t> row);

  ValueId corrupted(ValueId x);
  // In use the code, as a row of codes is; in training and validation what the decoder reads.
  ValueId encoded(ValueId x);
  ValueId decoded(ValueId code);  // in use: of a code
  // In use: a code out of nothing. Throws Error{kUsage} for kinds of code without a distribution.
  ValueId drawn_code();
  // f32[1]; code: what the decoder reads.
  ValueId reconstruction_loss(ValueId code, ValueId target);
  // f32[rows], and where worst > 0 u32[rows,worst] and A[rows,worst].
  std::vector<ValueId> score(ValueId code, ValueId target, int64_t worst);

  // For blocks, codes and terms.
  ValueId parameter(const ParameterSpec& spec);  // f32
  ValueId weight(const ParameterSpec& spec);     // T
  ValueId state(const StateSpec& spec);
  ValueId flat(ValueId x);  // T[rows,…] as T[rows,*]
  // f(x): a node of its own, but for none where f is the identity.
  ValueId activated(ValueId x, kernels::Activation activation, const std::string& name);
  CodeBuild code_build();  // behind encoded
  // In training and validation, behind encoded: T[rows,K].
  ValueId code_in_use() const { return code_in_use_; }

  // For terms, behind reconstruction_loss.
  ValueId target() const { return target_; }
  // T[rows,D], scaled. The loss that reads it too is then a node of its own, behind the last
  // layer's.
  ValueId reconstruction();
  // T[rows,…] of each of the encoder's layers, with its activation and dropout.
  std::span<const ValueId> hidden() const { return hidden_; }
  // T[rows,K]: what the encoder's layers make of other rows, x T[rows,D], as the same function: its
  // dropout has the same draws, and no state moves on by these rows.
  ValueId encoded_again(ValueId x);
  const ModelConfig& config() const { return config_; }
  const Network& network() const { return network_; }
  int64_t features() const { return network_.features; }
  int64_t rows() const { return options_.rows; }  // of a batch
  // What a state of the model becomes by this batch, in training; once for each.
  void add_next_state(ValueId state, ValueId next, const std::string& name);

  struct NextState {
    ValueId state, next;
    std::string name;
  };
  std::span<const NextState> next_states() const { return next_states_; }

  bool is_training() const { return options_.purpose == Purpose::kTraining; }
  // By which nodes draw numbers. Validation has a state of its own, so that its noise is the same
  // each time; in use it comes with the rows, so that a row's draws depend on its number alone.
  ValueId step_state();
  // f32[rows,K], normal of mean 0, as far spread as whoever draws says (the input kTemperature).
  ValueId normal_draws();
  void mark_output(ValueId value, const char* name) { graph_.mark_output(value, name); }
  DType dtype() const;  // T
  Graph& graph() { return graph_; }
  Graph take() { return std::move(graph_); }

 private:
  TrainedCode used_in_training();
  ValueId batch(ValueId source, bool scaled, bool indexed);
  ValueId layer(const Layer& layer, ValueId x, kernels::Activation activation);
  ValueId layers(std::span<const Layer> layers, ValueId x);

  const ModelConfig& config_;
  const Network& network_;
  const ModelGraphOptions options_;
  Graph graph_;
  uint32_t dropouts_ = 0;
  bool is_again_ = false;
  ValueId code_ = kNoValue, code_in_use_ = kNoValue;
  std::vector<ValueId> heads_, made_, hidden_;
  ValueId target_ = kNoValue;
  ValueId decoded_ = kNoValue;         // before the last activation
  ValueId reconstruction_ = kNoValue;  // made when asked for
  std::vector<NextState> next_states_;
};

}  // namespace diabolo
