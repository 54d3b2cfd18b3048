// The graphs of a training: a step (gather, corrupt, forward, loss, differentiate, norm where the
// optimizer clips, optimizer, state of the model, advance), and the loss alone.
#pragma once

#include <cstdint>

#include "model/model.h"

namespace diabolo {

struct TrainingGraphOptions {
  int64_t rows = 0;  // of a batch
  Precision precision = Precision::kF32;
  Source source = Source::kScaled;
  // The input holds this many rows, of which a batch is picked by @order; 0: the input is the
  // batch.
  int64_t resident_rows = 0;
  kernels::OptimizerRule optimizer = {};
};

Graph training_graph(const ModelConfig& config, const Network& network,
                     const TrainingGraphOptions& options);
// Of a batch, without gradients, of the terms that count in validation with their whole weights;
// its output is model_names::kLoss. Takes rows, precision and source.
Graph validation_graph(const ModelConfig& config, const Network& network,
                       const TrainingGraphOptions& options);

}  // namespace diabolo
