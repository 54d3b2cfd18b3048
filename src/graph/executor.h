// Runs a plan: binds addresses, prepares every kernel once, then launches them in order, or replays
// the recording of that.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "graph/parameter_store.h"
#include "graph/plan.h"

namespace diabolo {

// The memory of temporaries. Plans that never run at once may share one; it grows to the largest.
class Arena {
 public:
  explicit Arena(Backend& backend) : backend_(backend) {}
  void reserve(uint64_t bytes);  // only before executors are made on it
  void* data() const { return buffer_.data(); }
  uint64_t bytes() const { return buffer_.bytes(); }

 private:
  Backend& backend_;
  Buffer buffer_;
};

enum class Capture { kOff, kOn };

class Executor {
 public:
  // Borrows everything. The arena must have been reserved for plan.arena_bytes(); inputs are bound
  // by name here, once, since recorded launches hold addresses. Throws Error{kDevice} where the
  // plan is for another device or has kernels that this build lacks.
  Executor(const Plan& plan, Backend& backend, const ParameterStore& store, const Arena& arena,
           Stream& stream, const std::map<std::string, void*>& inputs);

  // Enqueues one run. The first runs launch by launch; with capture on, the second is recorded and
  // every later one replays that. Allocates nothing once it replays.
  void run(Capture capture = Capture::kOn);

  // Enqueues `times` runs; with capture on, one launch of a recording of that many.
  void run_many(int times);

  // The address of an output of the plan, valid for the executor's life; its content until the next
  // run on the same arena. InternalError if there is none of that name.
  TensorView output(const std::string& name) const;

  Stream& stream() const { return stream_; }

  // The prepared launches, of a step each or of two that are joined, for timing them one by one.
  std::span<const kernels::Launch> launches() const { return launches_; }

 private:
  void bind(const ParameterStore& store, const Arena& arena,
            const std::map<std::string, void*>& inputs);
  struct Bound;
  Bound bound(const Step& step, const Arena& arena) const;
  void prepare(const Arena& arena);
  void launch_all(void* native) const;
  void submit();

  const Plan& plan_;
  Backend& backend_;
  Stream& stream_;
  Buffer zeroed_;                  // Plan::zeroed_bytes
  std::vector<TensorView> views_;  // by ValueId
  std::vector<kernels::Launch> launches_;
  std::unique_ptr<Replay> replay_;
  std::map<int, std::unique_ptr<Replay>> replays_of_many_;
  bool has_run_ = false;
};

}  // namespace diabolo
