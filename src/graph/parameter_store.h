// The memory that outlives a run: parameters and states. The plans of
// one model (train, tail batch, validation, encode, score) borrow the same store.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/tensor.h"
#include "graph/graph.h"
#include "kernels/optimizer.h"

namespace diabolo {

// What each element is before the first step: drawn uniformly from `value` ± `spread`.
struct Init {
  float value = 0, spread = 0;
};

struct ParameterSpec {
  std::string name;  // "encoder.0.weight"
  TensorDesc desc;   // f32
  Init init = {};
};

// How long a state lives.
enum class StateKind : uint8_t {
  kOfModel,  // as long as the model, in its file and in checkpoints; f32, written by kUpdateState
  kOfOptimizer,  // as long as the training, in checkpoints; f32, 0 before the first step
  kOfRun,        // on no disk
};

struct StateSpec {
  std::string name;  // "encoder.0.mean"; of what is no model's: "@…"
  TensorDesc desc;
  StateKind kind = StateKind::kOfRun;
  Init init = {};
};

// Names of the flat blobs and records, as graphs refer to them (Role::kState).
namespace store_names {
inline constexpr const char* kMaster = "@master";  // f32[n]
inline constexpr const char* kGrads = "@grads";    // f32[n]
inline constexpr const char* kM = "@m";            // f32[n]
inline constexpr const char* kV = "@v";            // f32[n]
inline constexpr const char* kLow = "@low";        // bf16[n]
inline constexpr const char* kStepState = "@step_state";
inline constexpr const char* kScalars = "@scalars";
inline constexpr const char* kLosses = "@losses";
inline constexpr const char* kTerms = "@terms";               // f32[kStepSlots,count]
inline constexpr const char* kTermWeights = "@term_weights";  // the same
}  // namespace store_names

// Where each parameter begins in the flat blobs, in elements: multiples of 64, in the order given.
// Padding is 0 and stays 0.
struct BlobLayout {
  std::vector<uint64_t> offsets;
  uint64_t elems = 0;
  TensorDesc desc(DType dtype) const;  // of a blob
  static BlobLayout of(std::span<const ParameterSpec> parameters);
};

// What products of a type read beside the parameters: for bf16, copies of them.
std::vector<StateSpec> product_states(std::span<const ParameterSpec> parameters, DType products);
// That and what a training step needs: gradients, what the rule keeps, the records of the step.
std::vector<StateSpec> step_states(std::span<const ParameterSpec> parameters, DType products,
                                   const kernels::OptimizerRule& rule);

class ParameterStore {
 public:
  // Allocates and zeroes everything. Throws Error{kResource} with wanted and free bytes.
  // master: memory of the host in the layout's order that serves as the blob of that name, on the
  // host's backend and for a store that nothing is trained in; others must not change it meanwhile.
  ParameterStore(Backend& backend, std::vector<ParameterSpec> parameters,
                 std::span<const StateSpec> states, std::shared_ptr<float> master = nullptr);

  std::span<const ParameterSpec> parameters() const { return parameters_; }
  std::span<const StateSpec> states() const { return states_; }
  const BlobLayout& layout() const { return layout_; }

  // Adds one, zeroed.
  void add_state(const StateSpec& spec);

  // The address behind a value of role parameter, gradient or state. InternalError if the store has
  // nothing of that name and type.
  TensorView view(const Value& value) const;
  TensorView state(const std::string& name) const;
  TensorView parameter(const std::string& name, DType dtype = DType::kF32) const;

  // Host copies of one parameter's master, or of a whole blob or record; they synchronise.
  void write(const TensorView& target, const void* host, Stream& stream) const;
  void read(const TensorView& source, void* host, Stream& stream) const;
  // Makes the low copies from the masters: after write, before the first product.
  void refresh_low(Stream& stream) const;

  uint64_t bytes() const;

 private:
  Backend& backend_;
  std::vector<ParameterSpec> parameters_;
  std::vector<StateSpec> states_;
  BlobLayout layout_;
  struct Entry {
    TensorDesc desc;
    Buffer buffer;
    std::shared_ptr<float> shared = {};  // in place of the buffer
  };
  Entry zeroed(const TensorDesc& desc) const;
  std::map<std::string, Entry> entries_;
};

}  // namespace diabolo
