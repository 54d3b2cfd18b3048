#include "infer/fitting_inference.h"

#include "base/error.h"

namespace diabolo {

FittingInference::FittingInference(Backend& backend, const ModelFile& model,
                                   const InferenceOptions& options, Log log)
    : backend_(backend), model_(model), options_(options), log_(std::move(log)) {
  if (options_.max_rows == 0) options_.max_rows = usual_max_rows(backend.info());
}

void FittingInference::run(const std::function<void(const Inference&)>& work) {
  for (;;) {
    try {
      if (!inference_) inference_ = std::make_unique<Inference>(backend_, model_, options_);
      return work(*inference_);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kResource || options_.max_rows == 1) throw;
      inference_.reset();
      options_.max_rows = (options_.max_rows + 1) / 2;
      log_.warning(error.what(), "; going on with ", options_.max_rows, " rows at once");
    }
  }
}

}  // namespace diabolo
