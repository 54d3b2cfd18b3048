// One caller's way through a model: a stream, its memory and the executors of one kind of work, for
// each of the few row counts that there are plans for. Not thread-safe; Inference keeps a pool.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "graph/executor.h"
#include "model/model.h"
#include "run/inference.h"

namespace diabolo {

// What a lane does; lanes of one kind are interchangeable.
struct LaneKind {
  Mode mode = Mode::kEncode;
  Source source = Source::kScaled;
  int64_t worst = 0;
  bool on_caller_thread = false;

  auto operator<=>(const LaneKind&) const = default;
};

// The model as all lanes share it.
class LanePlans {
 public:
  LanePlans(Backend& backend, const ModelConfig& config, const Network& network,
            const InferenceOptions& options);

  // Made when first asked for, then kept. Thread-safe.
  const Plan& plan(const LaneKind& kind, int64_t rows);
  // 1, 8, 32, 128, 256, 512 and max_rows, as far as they are not above max_rows; ascending.
  std::span<const int64_t> row_counts() const { return row_counts_; }
  int64_t max_rows() const { return row_counts_.back(); }
  // The count to take next where so many rows, at least one, are left.
  int64_t chunk_rows(uint64_t rows_left) const;

  Backend& backend() const { return backend_; }
  const Network& network() const { return network_; }
  const InferenceOptions& options() const { return options_; }

 private:
  Backend& backend_;
  const ModelConfig& config_;
  const Network& network_;
  const InferenceOptions& options_;
  std::vector<int64_t> row_counts_;
  std::mutex mutex_;
  std::map<std::pair<LaneKind, int64_t>, std::unique_ptr<Plan>> plans_;
};

// Results of a chunk of rows, in host memory: those of Mode, in the order of its outputs.
struct ChunkResult {
  std::array<TensorView, 3> out;
};

// How rows get in and results get out. Called by the thread that runs the lane.
struct LaneJob {
  uint64_t rows = 0;
  std::function<void(uint64_t first, uint64_t count, void* staging)> fill;
  std::function<void(uint64_t first, uint64_t count, const ChunkResult& result)> take;
};

class Lane {
 public:
  Lane(LanePlans& plans, const ParameterStore& store, const LaneKind& kind);

  // After an exception the lane must not be used again.
  void run(const LaneJob& job);
  uint64_t bytes() const;

 private:
  // Two, so that one can be filled and emptied while the other computes.
  struct Slot {
    StagingBuffer in;
    Buffer device_in;  // empty on the host, where the plan reads `in`
    std::array<StagingBuffer, 3> out;
    std::map<int64_t, std::unique_ptr<Executor>> executors;
    std::unique_ptr<Event> done;
    uint64_t first = 0, count = 0;  // rows under way; count 0: none
    int64_t plan_rows = 0;
  };

  void make_slot(Slot& slot);
  Executor& executor(Slot& slot, int64_t rows);
  void start(Slot& slot, const LaneJob& job, uint64_t first);
  void finish(Slot& slot, const LaneJob& job);
  uint64_t input_row_bytes() const;

  LanePlans& plans_;
  const ParameterStore& store_;
  LaneKind kind_;
  std::vector<const char*> outputs_;
  Arena arena_;
  std::array<Slot, 2> slots_;
  std::unique_ptr<Stream> stream_;  // last: it ends before the memory that it works on goes
};

}  // namespace diabolo
