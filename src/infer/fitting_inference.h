// Inference for callers who would rather go on with fewer rows at once than fail for want of
// memory.
#pragma once

#include <functional>
#include <memory>

#include "base/log.h"
#include "infer/inference.h"

namespace diabolo {

class FittingInference {
 public:
  // Borrows backend and model. Memory is taken by the first run.
  FittingInference(Backend& backend, const ModelFile& model, const InferenceOptions& options,
                   Log log);

  // Calls work, and where it ends in Error{kResource} again from its start with an inference that
  // takes half as many rows at once, down to one; the bits are the same.
  void run(const std::function<void(const Inference&)>& work);
  int64_t max_rows() const { return options_.max_rows; }

 private:
  Backend& backend_;
  const ModelFile& model_;
  InferenceOptions options_;
  Log log_;
  std::unique_ptr<Inference> inference_;
};

}  // namespace diabolo
