// A training step on synthetic data, ready to be timed: the model's own graph, a store with its
// initial parameters, resident random bytes as data.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "graph/executor.h"
#include "model/model.h"
#include "train/training_plan.h"

namespace diabolo::bench {

// A net by its widths down to the code: {784, 512, 256, 32} is 784-512-256-32-256-512-784 with relu
// hidden layers, a linear code, sigmoid output and MSE.
struct Net {
  std::string name;
  std::vector<int64_t> widths;

  Config config() const;
  double flops_per_row() const;  // of the products of a forward pass
  double training_flops_per_row() const;
};

const Net& dense_net();  // peers' dense_ae: 784-512-256-32
const Net& wide_net();   // the GPU goals' net: 784-512-256-64

class TrainingBed {
 public:
  // Data: `rows` of uniform random bytes, at least one batch.
  TrainingBed(Backend& backend, const Net& net, int64_t batch, Precision precision, int64_t rows);

  void run(int steps);  // enqueues; begins the epoch anew when its order is used up
  void synchronize() { stream_->synchronize(); }

  // Seconds of all kernels of one step, each timed alone, in order, on the step's buffers: the sum
  // of the medians of `repeats` passes.
  double kernels_alone_seconds(int repeats);

  const Plan& plan() const { return plan_; }
  Stream& stream() { return *stream_; }
  float last_loss();

 private:
  void write_inputs(const Net& net, int64_t rows);
  void rewind();

  Backend& backend_;
  Config config_;
  Network network_;
  int64_t batch_;
  int64_t steps_per_epoch_;
  std::unique_ptr<Stream> stream_;
  TrainingPlan training_;
  ParameterStore store_;
  Buffer data_;
  Plan plan_;
  Arena arena_;
  std::unique_ptr<Executor> executor_;
  int64_t steps_in_epoch_ = 0;
};

}  // namespace diabolo::bench
