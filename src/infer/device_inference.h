// Rows that are on the device already, through a model, on the caller's stream: the host only
// enqueues. What the caller queued on that stream before the call comes before it, what the caller
// queues afterwards comes after it. Thread-safe; a row's bits are those of Inference.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "infer/inference_lane.h"

namespace diabolo {

// Raw rows in the device's memory: row-major u8 or f32, without gaps. Scaling is the model's.
struct DeviceRows {
  DType dtype = DType::kF32;
  const void* data = nullptr;
  uint64_t rows = 0;
};

class DeviceLane;

class DeviceInference {
 public:
  // Borrows both.
  DeviceInference(LanePlans& plans, const ParameterStore& store);
  ~DeviceInference();  // waits for what is under way
  DeviceInference(DeviceInference&&) = delete;

  // What the task has for each row on the device: codes [K], bf16 where products are, else f32.
  std::span<const TaskColumn> columns(const Task& task) const;

  // Enqueues a task for all rows; out: [rows, …] of each of its columns, as the plan has it: of
  // integers none is looked at (CodeRow). All memory must stay valid
  // until `native_stream` has passed the call. The first calls of a task, an input type and a
  // stream allocate, and may wait for the device; later ones do neither. Throws Error{kUsage} for
  // tasks that need the host, other types of rows, memory that is not the device's and a stream
  // that will not do, Error{kDevice} on the host, Error{kDevice, kResource} for what goes wrong;
  // what was under way has then been waited for.
  void run(const Task& task, const DeviceRows& in, std::span<void* const> out, void* native_stream);

  uint64_t bytes() const;  // device memory held now

 private:
  std::unique_ptr<DeviceLane> take(const LaneKind& kind, const void* native_stream);
  void give_back(const LaneKind& kind, std::unique_ptr<DeviceLane> lane);
  LaneKind kind_of(const Task& task, const DeviceRows& in) const;

  LanePlans& plans_;
  const ParameterStore& store_;
  mutable std::mutex mutex_;
  std::map<LaneKind, std::vector<std::unique_ptr<DeviceLane>>> idle_;  // longest idle first
};

}  // namespace diabolo
