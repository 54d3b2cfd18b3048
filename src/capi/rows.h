// Rows in memory through any task: behind diabolo_run, which has those that are verbs.
#pragma once

#include <cstdint>

#include "capi/handles.h"
#include "diabolo/diabolo.h"
#include "model/task.h"

namespace diabolo::capi {

// As diabolo_run has them.
struct Arrays {
  const diabolo_rows* const* inputs = nullptr;
  uint64_t input_count = 0;
  const diabolo_output* const* outputs = nullptr;
  uint64_t output_count = 0;
};

// Throws what diabolo_run returns.
void run_any(const Model& model, const Task& task, const Arrays& arrays,
             const diabolo_row_options& options);

}  // namespace diabolo::capi
