// How good a model is on data: reconstruction beside PCA with the same code size, and detection of
// anomalies where labels are given.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "backend/backend.h"
#include "base/log.h"
#include "data/dataset.h"
#include "infer/inference.h"
#include "model/model_file.h"

namespace diabolo {

struct EvaluateProgress {
  int pca_pass = 0;   // over the rows that PCA is fitted on, from 1; 0: over the rows evaluated
  uint64_t rows = 0;  // of this pass, so far
  uint64_t total_rows = 0;  // 0: not known
};

struct EvaluateOptions {
  const Dataset* labels = nullptr;    // one number per row: 0 ordinary, else anomalous
  const Dataset* pca_from = nullptr;  // rows that PCA is fitted on; null: no PCA
  BadValue on_bad_value = BadValue::kError;
  BadValue pca_on_bad_value = BadValue::kError;  // of pca_from's rows
  InferenceOptions inference;
  int threads = 0;                                        // of PCA; 0: all that the process may use
  std::function<void(const EvaluateProgress&)> progress;  // after each block; may throw, to stop
  Log log;
};

// The object of docs/json.md: rows, rows_read, rows_skipped, rows_infinite,
// reconstruction.{mse,psnr_db,psnr_images_db}, pca.{code_size,mse,psnr_db},
// anomaly.{auroc,average_precision,threshold,false_alarm_rate}; what does not apply is absent. mse
// is in scaled units, PSNR for unit scale of unsigned types only, whose range of 1 it is taken of.
// A row whose score is inf ranks above all others in the anomaly part; no mean has it. Such rows,
// and those left out, are warned of.
nlohmann::json evaluate(Backend& backend, const ModelFile& model, const Dataset& data,
                        const EvaluateOptions& options);

}  // namespace diabolo
