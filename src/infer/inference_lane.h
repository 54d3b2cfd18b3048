// One thread's way through a model: a stream, its memory and the executors of one kind of work, for
// each of the few row counts that there are plans for. Not thread-safe; Inference keeps a pool.
//
// On the host a lane computes on the thread that runs it, alone, and a call's rows are shared out
// to as many lanes as their work is worth, at most one a core: rows do not depend on each other, so
// nothing waits for anything until the end, and a piece's activations stay in the cache of its
// core. Of a model with weights that no cache holds, a few rows are computed by kernels that share
// the reading of these.
//
// On a device a lane keeps three pieces under way: while one computes, the next is copied in and
// the one before is copied out, each on a stream of its own; the host fills and empties meanwhile.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <tuple>
#include <vector>

#include "graph/executor.h"
#include "infer/inference.h"
#include "model/task.h"

namespace diabolo {

// What a lane does; lanes of one kind are interchangeable.
struct LaneKind {
  const Task* task = &kEncodeTask;
  Source source = Source::kScaled;
  int64_t worst = 0;

  friend bool operator<(const LaneKind& a, const LaneKind& b) {
    return std::tuple(a.task->number, a.source, a.worst) <
           std::tuple(b.task->number, b.source, b.worst);
  }
};

// The model as all lanes share it.
class LanePlans {
 public:
  // Larger pieces are not faster: their activations would not stay in a core's cache. (2 cores of
  // an AMD EPYC, 1 MiB of L2 each, dense preset, 2026-11: one thread's product of 784x512 in bf16
  // does 397, 467, 494, 525, 524 GFLOP/s at 32, 64, 128, 256, 512 rows.)
  static constexpr int64_t kMostHostRows = 256;

  LanePlans(Backend& backend, const ModelConfig& config, const Network& network,
            const InferenceOptions& options);

  // What all plans of one kind need, and what a lane takes with its staging memory.
  uint64_t arena_bytes(const LaneKind& kind);
  uint64_t lane_bytes(const LaneKind& kind);
  // Made when first asked for, then kept. Thread-safe.
  const Plan& plan(const LaneKind& kind, int64_t rows);
  const TaskShape& shape(const LaneKind& kind);
  // 1, 8, 32, 128, 256, on a device 512, and max_rows, as far as not above max_rows; ascending. Of
  // wide rows fewer than max_rows are taken at once: what a lane holds is bounded in bytes too.
  std::span<const int64_t> row_counts() const { return row_counts_; }
  int64_t max_rows() const { return row_counts_.back(); }
  // The count to take next where so many rows, at least one, are left.
  int64_t chunk_rows(uint64_t rows_left) const;
  // Whether the kernels of a call of so many rows, too few for a second lane, share it among
  // threads.
  bool shares_kernels(uint64_t rows) const;
  // How many lanes are worth it for so many rows, at most most_lanes(). Thread-safe.
  int lanes_for(const LaneKind& kind, uint64_t rows);
  // How many lanes may share the rows of one call: one per core of the host, one on a device.
  int most_lanes() const { return backend_.info().space == Space::kHost ? threads_ : 1; }

  Backend& backend() const { return backend_; }
  const Network& network() const { return network_; }
  const InferenceOptions& options() const { return options_; }

 private:
  TaskGraphOptions graph_options(const LaneKind& kind, int64_t rows) const;

  Backend& backend_;
  const ModelConfig& config_;
  const Network& network_;
  const InferenceOptions& options_;
  DeviceInfo device_;  // as a lane sees it: the host with one thread
  int threads_;
  bool has_large_layer_;
  std::vector<int64_t> row_counts_;
  std::mutex mutex_;
  std::map<std::pair<LaneKind, int64_t>, std::unique_ptr<Plan>> plans_;
  std::map<LaneKind, TaskShape> shapes_;
};

// Rows that go through a plan at once.
struct Piece {
  uint64_t first = 0, count = 0;
  int64_t plan_rows = 0;  // at least count; the surplus is padding
};

// How many rows from this number on draw by the same step: a kernel counts a piece's rows in 32
// bits, and the step says how often that has gone round.
constexpr uint64_t rows_of_step(uint64_t row) {
  return (uint64_t{1} << 32) - (row & 0xffffffff);
}

// The rows of one call, handed out in order to the lanes that share it. Thread-safe.
class RowPieces {
 public:
  // first_row: the number of the first one, as draws are named.
  RowPieces(uint64_t rows, std::span<const int64_t> row_counts, int most_lanes,
            uint64_t first_row = 0);

  // Lanes that find a piece.
  int lanes() const { return lanes_; }
  std::optional<Piece> next();
  bool none_left() const { return first_.load(std::memory_order_relaxed) >= rows_; }
  // Nobody gets any more.
  void stop() { first_.store(rows_); }

 private:
  uint64_t rows_;
  std::span<const int64_t> row_counts_;
  uint64_t most_rows_;  // of a piece
  int lanes_;
  uint64_t first_row_;
  std::atomic<uint64_t> first_{0};
};

// Results of a chunk of rows, in host memory, column by column.
struct ChunkResult {
  std::vector<TensorView> out;
};

// How rows get in and results get out. Called by the threads that run the lanes, at once, for rows
// of their own.
struct LaneJob {
  uint64_t rows = 0;
  uint64_t seed = 0, first_row = 0;  // of what is drawn: and the number of the call's first row
  float temperature = 1;             // and how far it is spread
  std::function<void(size_t input, uint64_t first, uint64_t count, void* staging)> fill;
  std::function<void(uint64_t first, uint64_t count, const ChunkResult& result)> take;
  // True once no more pieces need be begun. Those that were are finished.
  std::function<bool()> is_over = [] { return false; };
};

// Of what draws are made by, beside the task's inputs.
struct DrawInput {
  const char* name;
  uint64_t bytes;
};
std::span<const DrawInput> draw_inputs(const TaskShape& shape);

class Lane {
 public:
  Lane(LanePlans& plans, const ParameterStore& store, const LaneKind& kind);

  // Does pieces until there are none left. After an exception the lane must not be used again.
  void run(const LaneJob& job, RowPieces& pieces);
  uint64_t bytes() const;

 private:
  // What a piece needs on its way. Made when first used: a call of one piece needs one. On the host
  // only `in` has memory: the plan reads it, and results are read where the plan wrote them.
  struct Slot {
    std::vector<StagingBuffer> in;  // of the task's inputs, then where it has them those of draws
    std::vector<Buffer> device_in;
    std::vector<Buffer> device_out;
    std::vector<StagingBuffer> out;
    std::map<int64_t, std::unique_ptr<Executor>> executors;
    std::unique_ptr<Event> copied_in, computed, done;
    Piece piece;  // under way; count 0: none
  };

  bool is_host() const { return plans_.backend().info().space == Space::kHost; }
  void make_slot(Slot& slot);
  Executor& executor(Slot& slot, int64_t rows);
  void start(Slot& slot, const LaneJob& job, const Piece& piece);
  void start_on_device(Slot& slot);
  void finish(Slot& slot, const LaneJob& job);
  void fill(Slot& slot, const LaneJob& job);
  size_t inputs() const { return shape_.inputs.size() + draw_inputs(shape_).size(); }
  const char* input_name(size_t input) const;
  uint64_t input_bytes(size_t input, int64_t rows) const;

  LanePlans& plans_;
  const ParameterStore& store_;
  LaneKind kind_;
  const TaskShape& shape_;
  ChunkResult result_;  // memory that chunks share
  Arena arena_;
  std::vector<Slot> slots_;
  // Last: they end before the memory that they work on goes. The copies' are null on the host.
  std::unique_ptr<Stream> copies_in_, stream_, copies_out_;
};

}  // namespace diabolo
