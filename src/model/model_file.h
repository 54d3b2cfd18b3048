// A model on disk: one safetensors file with the weights and, in its metadata, everything else that
// is needed to use them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "model/config.h"
#include "model/model.h"

namespace diabolo {

// Where the weights come from; for people and for defaults, never for arithmetic.
struct Provenance {
  std::string version;  // of diabolo
  std::string data;     // name of the training data, as given
  uint64_t rows = 0;    // used for training
  uint64_t seed = 0;
  uint64_t epochs = 0;  // that the weights have seen
};

// Which rows' scores the threshold is a quantile of.
enum class ThresholdFrom { kTraining, kValidation };
const char* name(ThresholdFrom from);  // "training", "validation"

// A model in memory. Plain data; the weights are the f32 masters.
struct ModelFile {
  Config config;                    // resolved
  TensorDesc row;                   // type and shape of one row as the training data had it
  Scaling scaling;                  // one entry per feature
  std::optional<double> threshold;  // of the score
  double threshold_quantile = 0;    // which quantile of these rows' scores it is
  ThresholdFrom threshold_from = ThresholdFrom::kTraining;
  uint64_t threshold_rows = 0;
  Provenance provenance;
  std::vector<std::vector<float>> parameters;  // one per entry of network().parameters()
  std::string hash;                            // content hash where loaded or saved, else empty

  int64_t features() const { return row.elems(); }
  Network network() const { return Network::of(config.model, features()); }
};

struct LoadOptions {
  bool allow_unverified = false;
  FileSystem* fs = nullptr;
};

// path: a model file, or a run directory (its model.safetensors). Throws Error{kModel}.
ModelFile load_model(const std::string& path, const LoadOptions& options = {});
// Atomic. Throws Error{kResource}. Sets model.hash.
void save_model(ModelFile& model, const std::string& path, FileSystem& fs = real_file_system());

// The file that a path given as MODEL means.
std::string model_path(const std::string& path);

// "0.1.0"
const char* library_version();

}  // namespace diabolo
