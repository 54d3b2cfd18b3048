// The plan of one mode of a model over rows that lie on the device, ready to be timed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "backend/backend.h"
#include "graph/executor.h"
#include "kernel_times.h"
#include "model/model_file.h"
#include "model/task.h"
#include "training_bed.h"

namespace diabolo::bench {

// The net with its initial parameters, for rows of bytes that it scales by 1/255.
ModelFile untrained_model(const Net& net);

// Uniform, always the same.
std::vector<std::byte> random_bytes(int64_t count);

class InferenceBed {
 public:
  // `rows`: options.rows of them, as options.source says. Kernels are chosen for `device`, which
  // may be less than the backend's own; work runs on a stream of that kind.
  InferenceBed(Backend& backend, const DeviceInfo& device, StreamKind kind, const ModelFile& model,
               const Task& task, const TaskGraphOptions& options, std::span<const std::byte> rows);

  void run(int times);  // returns when they are done
  void time_kernels(KernelTimes& times) { times.time_once(*executor_, *stream_); }

 private:
  std::unique_ptr<Stream> stream_;
  ParameterStore store_;
  Plan plan_;
  Arena arena_;
  Buffer rows_;
  std::unique_ptr<Executor> executor_;
};

}  // namespace diabolo::bench
