// A model ready to be used: any task on rows in memory. Thread-safe; the
// result of a row depends on nothing but the row, the model, the device and the precision.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "graph/executor.h"
#include "infer/row_watch.h"
#include "model/model_file.h"
#include "model/task.h"

namespace diabolo {

class DeviceInference;
struct InputWay;

struct InferenceOptions {
  Precision precision = Precision::kF32;
  bool fast_policy = false;
  Capture capture = Capture::kOn;
  // At most so many rows go through a plan at once (on the host 256 whatever is said, and fewer of
  // wide ones); larger inputs go piece by piece. 0: usual_max_rows.
  int64_t max_rows = 0;
  // No call has more rows than this: memory for more is not taken. 0: not known.
  uint64_t most_rows = 0;
};

// 256 on the host, where a core's activations then stay in its cache; 4096 on a GPU, which they
// then fill.
int64_t usual_max_rows(const DeviceInfo& device);

// Raw rows: row-major, of the type they have in the file. Scaling is the model's (of codes: none).
struct RawRows {
  DType dtype = DType::kF32;
  bool is_scaled = false;  // f32 that convert_rows has made: taken as it is
  std::span<const std::byte> bytes = {};
  uint64_t rows = 0;
  // Instead of bytes: reads rows [first, first + count) to where they are wanted. Called by threads
  // that compute, at once; after an Error for fewer, to find the first row that cannot be had.
  std::function<void(uint64_t first, uint64_t count, std::span<std::byte> to)> fetch = {};
};

// Where the results of one column of a task go: [rows, width] numbers of its type on the host.
struct TaskResults {
  TaskResults(std::span<float> numbers) : TaskResults(DType::kF32, numbers) {}
  TaskResults(std::span<uint32_t> numbers) : TaskResults(DType::kU32, numbers) {}
  template <class Number, size_t N>
  TaskResults(DType type, std::span<Number, N> numbers)
      : dtype(type), bytes(std::as_writable_bytes(numbers)) {}

  DType dtype;
  std::span<std::byte> bytes;
};

struct TaskCall {
  int64_t worst = 0;          // features to name per row
  bool keeps_scaled = false;  // results stay in scaled units
  uint64_t rows = 0;          // of a task that reads none
  // What a task draws for a row depends on these: the seed and the row's number, counted from here.
  uint64_t seed = 0, first_row = 0;
  double temperature = 1;  // how far draws are spread: above 0, of a task that asks
};

// Throws Error{kUsage} for a temperature that is none, or of a task that has none.
inline constexpr double kMostTemperature = 1000;
void check_temperature(const Task& task, const TaskShape& shape, double temperature);

struct Scores {
  std::span<float> score;     // [rows]
  int64_t worst = 0;          // features to name per row, at most 32
  std::span<uint32_t> index;  // [rows, worst]
  std::span<float> error;     // [rows, worst]
};

// Bytes where the device runs that a call of so many rows takes beside the weights; the staging of
// a device is as much again of the host's. room_bytes: of a row as it is read, where it is read by
// the threads that compute.
uint64_t call_bytes(Backend& backend, const ModelConfig& config, const Network& network,
                    InferenceOptions options, const Task& task, int64_t worst, Source source,
                    uint64_t rows, uint64_t room_bytes = 0);

class Inference {
 public:
  // Copies the weights to the backend, which is borrowed; on the host it shares the model's. Throws
  // Error{kResource, kDevice}.
  Inference(Backend& backend, const ModelFile& model, const InferenceOptions& options);
  ~Inference();
  Inference(Inference&&) = delete;

  const Network& network() const { return network_; }
  int64_t features() const { return network_.features; }
  int64_t code_size() const { return network_.code_size; }
  // That of rows of this type.
  const Scaling& scaling_of(DType dtype) const;

  // What the task has for each row, in the order of its outputs (task.h).
  std::span<const TaskColumn> columns(const Task& task, int64_t worst = 0) const;

  // The task's inputs, as many rows each, to its columns; further results are empty. It and
  // the calls for each task below throw Error{kUsage} for spans of the wrong size, naming both, and
  // for kMean where the model has no means; Error{kData} for the first row with a value that is bad
  // or a result that is not finite, as far as the rules do not say otherwise. Scores are never NaN,
  // but may be infinite.
  void run(const Task& task, std::span<const RawRows> in, std::span<const TaskResults> out,
           const RowRules& rules = {}, const TaskCall& call = {}) const;
  void run(const Task& task, const RawRows& in, std::span<const TaskResults> out,
           const RowRules& rules = {}, const TaskCall& call = {}) const {
    run(task, std::span(&in, 1), out, rules, call);
  }
  void encode(const RawRows& in, std::span<float> codes,
              const RowRules& rules = {}) const;  // [rows,K]
  // codes: [rows,K] of any type.
  void decode(const RawRows& codes, std::span<float> rows, const RowRules& rules = {}) const;
  void decode(std::span<const float> codes, std::span<float> rows,
              const RowRules& rules = {}) const;
  // [rows,D], as the data have them.
  void reconstruct(const RawRows& in, std::span<float> rows, const RowRules& rules = {}) const;
  // The same in scaled units.
  void reconstruct_scaled(const RawRows& in, std::span<float> rows,
                          const RowRules& rules = {}) const;
  void score(const RawRows& in, const Scores& out, const RowRules& rules = {}) const;

  // The same model on rows that are on the device, on the caller's stream.
  DeviceInference& on_device() const;

  // Device memory held now.
  uint64_t bytes() const;

 private:
  struct Pool;

  uint64_t check_inputs(const Task& task, std::span<const RawRows> in, const RowRules& rules,
                        const TaskCall& call) const;
  void require_means(const RowRules& rules) const;
  InputWay way_of(const TaskInput& input, DType dtype, const TensorDesc& row) const;

  Backend& backend_;
  Network network_;
  Scaling scaling_, code_scaling_;
  Scaling wide_scaling_;  // the same as scaling_, ready for rows of wide types
  InferenceOptions options_;
  std::unique_ptr<Pool> pool_;
};

}  // namespace diabolo
