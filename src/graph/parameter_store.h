// The memory that outlives a run: parameters, gradients, optimizer and model state. The plans of
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

namespace diabolo {

struct ParameterSpec {
  std::string name;  // "encoder.0.weight"
  TensorDesc desc;   // f32
};

// Names of the flat blobs and records, as graphs refer to them (Role::kState).
namespace store_names {
inline constexpr const char* kMaster = "@master";  // f32[n]
inline constexpr const char* kGrads = "@grads";    // f32[n]
inline constexpr const char* kM = "@m";            // f32[n]
inline constexpr const char* kV = "@v";            // f32[n]
inline constexpr const char* kLow = "@low";        // bf16[n]
inline constexpr const char* kStepState = "@step_state";
inline constexpr const char* kPlans = "@plans";
inline constexpr const char* kLosses = "@losses";
inline constexpr const char* kTerms = "@terms";
}  // namespace store_names

struct StoreOptions {
  bool has_low = false;       // bf16 copies of the parameters, for bf16 products
  bool has_training = false;  // gradients, step state, plans, losses, their terms
  bool has_m = false, has_v = false;
};

// Where each parameter begins in the flat blobs, in elements: multiples of 64, in the order given.
// Padding is 0 and stays 0.
struct BlobLayout {
  std::vector<uint64_t> offsets;
  uint64_t elems = 0;
  static BlobLayout of(std::span<const ParameterSpec> parameters);
};

// One named piece of a store's memory.
struct StoreRecord {
  std::string name;
  TensorDesc desc;
};

// What a store with these options holds before anything is added to it.
std::vector<StoreRecord> store_records(const BlobLayout& layout, const StoreOptions& options);

class ParameterStore {
 public:
  // Allocates and zeroes everything. Throws Error{kResource} with wanted and free bytes.
  // master: memory of the host in the layout's order that serves as the blob of that name, on the
  // host's backend and for a store that nothing is trained in; others must not change it meanwhile.
  ParameterStore(Backend& backend, std::vector<ParameterSpec> parameters, StoreOptions options,
                 std::shared_ptr<float> master = nullptr);

  std::span<const ParameterSpec> parameters() const { return parameters_; }
  const StoreOptions& options() const { return options_; }
  const BlobLayout& layout() const { return layout_; }
  TensorDesc blob_desc(DType dtype) const;

  // Adds a record of the model's or the run's own (scaling, a data set's order), zeroed.
  void add_state(const std::string& name, const TensorDesc& desc);

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
  StoreOptions options_;
  BlobLayout layout_;
  struct Entry {
    TensorDesc desc;
    Buffer buffer;
    std::shared_ptr<float> shared = {};  // in place of the buffer
  };
  std::map<std::string, Entry> state_;
};

}  // namespace diabolo
